"""Pictures, tables, the one-file HTML page that a run leaves behind."""

from .page import (
    Calibration,
    Candidate,
    ClassScores,
    Cost,
    CrossValidation,
    Measured,
    Mistake,
    NextStep,
    Report,
    Skipped,
    Split,
    render,
    write,
)

__all__ = [
    "Calibration",
    "Candidate",
    "ClassScores",
    "Cost",
    "CrossValidation",
    "Measured",
    "Mistake",
    "NextStep",
    "Report",
    "Skipped",
    "Split",
    "render",
    "write",
]

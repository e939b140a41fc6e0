"""Pictures, tables, the one-file HTML page that a run leaves behind."""

from .epochs import Training
from .page import render, write
from .record import (
    Calibration,
    Candidate,
    ClassScores,
    Copies,
    Copy,
    Cost,
    CrossValidation,
    Doubt,
    Doubts,
    Ensemble,
    Measured,
    Mistake,
    NextStep,
    Report,
    Side,
    Skipped,
    Split,
    Together,
)

__all__ = [
    "Calibration",
    "Candidate",
    "ClassScores",
    "Copies",
    "Copy",
    "Cost",
    "CrossValidation",
    "Doubt",
    "Doubts",
    "Ensemble",
    "Measured",
    "Mistake",
    "NextStep",
    "Report",
    "Side",
    "Skipped",
    "Split",
    "Together",
    "Training",
    "render",
    "write",
]

"""Numbers from arrays: shares with 95 % intervals, figures per class, calibration, paired comparison.

K classes, n images, labels (n,), probs (n, K). Only numpy is needed, and nothing here reads a file.
"""

from .bootstrap import bootstrap_confusion, bootstrap_mean
from .calibration import Bin, Reliability, Temperature, at_temperature, fit_temperature, reliability
from .classification import (
    Counts,
    PerClass,
    balanced_accuracy,
    confusion_matrix,
    macro_f1,
    nll,
    per_class,
    softmax,
    top1,
)
from .paired import Paired, compare
from .shares import FEW_IMAGES, LEVEL, Interval, wilson
from .summary import Summary, summary

__all__ = [
    "FEW_IMAGES",
    "LEVEL",
    "Bin",
    "Counts",
    "Interval",
    "Paired",
    "PerClass",
    "Reliability",
    "Summary",
    "Temperature",
    "at_temperature",
    "balanced_accuracy",
    "bootstrap_confusion",
    "bootstrap_mean",
    "compare",
    "confusion_matrix",
    "fit_temperature",
    "macro_f1",
    "nll",
    "per_class",
    "reliability",
    "softmax",
    "summary",
    "top1",
    "wilson",
]

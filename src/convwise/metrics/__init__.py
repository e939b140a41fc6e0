"""Numbers from arrays: shares with 95 % intervals, per-class figures, negative log-likelihood, paired comparison.

K classes, n images, labels (n,), probs (n, K). Only numpy is needed, and nothing here reads a file.
"""

from .bootstrap import bootstrap_confusion, bootstrap_mean
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
from .shares import LEVEL, Interval, wilson
from .summary import Summary, summary

__all__ = [
    "LEVEL",
    "Counts",
    "Interval",
    "Paired",
    "PerClass",
    "Summary",
    "balanced_accuracy",
    "bootstrap_confusion",
    "bootstrap_mean",
    "compare",
    "confusion_matrix",
    "macro_f1",
    "nll",
    "per_class",
    "softmax",
    "summary",
    "top1",
    "wilson",
]

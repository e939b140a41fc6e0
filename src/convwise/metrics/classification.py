"""Figures of a classifier: confusion matrix, top-1, recall, precision, F1, negative log-likelihood.

A class without images in the measured split has no recall: its figures are nan, and every mean leaves it out.
"""

from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, UsageError
from .shares import UNKNOWN_SHARE, Interval, wilson

Ints = NDArray[np.integer[Any]]
Probs = NDArray[np.floating[Any]]
Numbers = NDArray[np.int64] | NDArray[np.float64]

TINY = 1e-15  # the least probability that counts: no image costs more than -ln(1e-15) = 34.5 nats
ROW_SUM_TOLERANCE = 0.01  # float16 probabilities of 1000 classes sum to 1 within it; logits do not


class Counts(NamedTuple):
    """What every figure per class is made of; numbers (..., K), one confusion matrix for each leading index.

    Attributes:
        right: images of the class that were predicted as it (true positives).
        support: images of the class.
        predicted: images predicted as the class.
    """

    right: Numbers
    support: Numbers
    predicted: Numbers

    @classmethod
    def of(cls, confusion: NDArray[np.int64]) -> Self:
        """Read the counts off a confusion matrix (K, K), rows true."""
        return cls(np.diagonal(confusion), confusion.sum(axis=1), confusion.sum(axis=0))


class PerClass(NamedTuple):
    """Figures of one class, shares in [0, 1]; `support` is its number of images.

    Without images all three values are nan, within [0, 1]. A class that has images but was never predicted has no
    precision (nan), recall 0 and F1 0.
    """

    precision: Interval
    recall: Interval
    f1: Interval
    support: int


def check_labels(name: str, labels: Ints, num_classes: int) -> None:
    """Refuse labels that are empty, of another shape than (n,), not whole numbers, or outside 0 to K - 1."""
    if labels.size == 0:
        raise DataError(f"{name} has no image to measure; choose a split that has images")
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise UsageError(f"{name} must be whole numbers of shape (n,), got {labels.dtype} of shape {labels.shape}")
    outside = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if outside.size:
        got = f"{labels[outside[0]]} for image {outside[0]}"
        raise UsageError(f"{name} must be from 0 to {num_classes - 1}, got {got} ({outside.size} in all)")


def check_probs(labels: Ints, probs: Probs) -> None:
    """Refuse probabilities that do not belong to the labels, or that are none."""
    if probs.ndim != 2 or not np.issubdtype(probs.dtype, np.floating):
        raise UsageError(f"probs must be floats of shape (n, K), got {probs.dtype} of shape {probs.shape}")
    check_labels("labels", labels, probs.shape[1])
    if len(probs) != len(labels):
        raise UsageError(f"probs must have one row per label, {len(labels)}, got {len(probs)}")
    sums = probs.sum(axis=1, dtype=np.float64)
    bad = np.flatnonzero(~((np.abs(sums - 1) <= ROW_SUM_TOLERANCE) & (probs.min(axis=1) >= 0)))  # nan is bad
    if bad.size:
        got = f"the sum {sums[bad[0]]:.6g} for image {bad[0]} ({bad.size} in all)"
        raise DataError(
            f"probs must be shares of at least 0 that sum to 1 for each image, got {got}; "
            "logits need a softmax first, nan means that the training diverged"
        )


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """(..., K) to probabilities (..., K)."""
    exp = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(exp / exp.sum(axis=-1, keepdims=True), np.float32)


def confusion_matrix(labels: Ints, predicted: Ints, num_classes: int) -> NDArray[np.int64]:
    """Count images by true class (rows) and predicted class (columns).

    `labels` and `predicted` are (n,), each from 0 to K - 1; the result is int64 (K, K).

    Raises:
        DataError: there is no image.
        UsageError: the shapes disagree, or a number is no class.
    """
    check_labels("labels", labels, num_classes)
    check_labels("predicted", predicted, num_classes)
    if len(predicted) != len(labels):
        raise UsageError(f"predicted must have one class per label, {len(labels)}, got {len(predicted)}")
    cells = labels.astype(np.int64) * num_classes + predicted
    return np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes)


def top1(confusion: NDArray[np.int64]) -> Interval:
    """Measure the share of images whose predicted class is theirs, with Wilson's interval."""
    return wilson(int(np.trace(confusion)), int(confusion.sum()))


def balanced_accuracy(counts: Counts) -> NDArray[np.float64]:
    """Average recall over the classes that have images: (..., K) counts -> (...) in [0, 1]."""
    return _mean_over_present(counts.right, counts.support, counts.support)


def macro_f1(counts: Counts) -> NDArray[np.float64]:
    """Average F1 over the classes that have images: (..., K) counts -> (...) in [0, 1]."""
    return _mean_over_present(2 * counts.right, counts.support + counts.predicted, counts.support)


def _mean_over_present(part: Numbers, whole: Numbers, support: Numbers) -> NDArray[np.float64]:
    present = support > 0
    shares = np.where(present, part / np.maximum(whole, 1), 0.0)
    return np.asarray(shares.sum(axis=-1) / present.sum(axis=-1), dtype=np.float64)


def per_class(confusion: NDArray[np.int64]) -> list[PerClass]:
    """Measure each of the K classes, in order."""
    rows = zip(*(column.tolist() for column in Counts.of(confusion)), strict=True)
    return [_one_class(right, support, predicted) for right, support, predicted in rows]


def _one_class(right: int, support: int, predicted: int) -> PerClass:
    if support == 0:
        return PerClass(UNKNOWN_SHARE, UNKNOWN_SHARE, UNKNOWN_SHARE, 0)
    return PerClass(wilson(right, predicted), wilson(right, support), _f1(right, support, predicted), support)


def _f1(right: int, support: int, predicted: int) -> Interval:
    """Measure F1 with the Wilson indirect interval.

    Of the images that are of the class or predicted as it, the share that is both is a binomial share J, and F1 is
    2 J / (1 + J), which only rises. Source: Lam, Gopal and Qian (2023), arXiv 2309.14621.
    """
    either = support + predicted - right
    return Interval(*(2 * j / (1 + j) for j in wilson(right, either)))


def nll(labels: Ints, probs: Probs) -> NDArray[np.float64]:
    """Take -ln of the probability given to the true class, in nats; (n,).

    A probability below 1e-15 counts as 1e-15, so that one image that was surely wrong does not make the mean infinite.

    Raises:
        DataError: there is no image, or a row of `probs` is not a distribution.
        UsageError: the shapes disagree, or a label is no class.
    """
    check_probs(labels, probs)
    true = np.take_along_axis(probs, labels[:, np.newaxis].astype(np.int64), axis=1)[:, 0].astype(np.float64)
    return -np.log(np.clip(true, TINY, 1.0))

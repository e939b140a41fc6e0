"""Everything that is said about a classifier on one split."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .bootstrap import bootstrap_confusion, bootstrap_mean
from .classification import (
    Ints,
    PerClass,
    Probs,
    balanced_accuracy,
    confusion_matrix,
    macro_f1,
    nll,
    per_class,
    top1,
)
from .shares import Interval


@dataclass(frozen=True, kw_only=True, eq=False)  # an array has no single truth to compare by
class Summary:
    """What was measured on n images of K classes.

    Attributes:
        n: images.
        top1: share of images whose likeliest class is theirs; Wilson's interval.
        balanced_accuracy, macro_f1: means over the classes that have images; bootstrap intervals.
        nll: mean negative log-likelihood, nats; bootstrap interval.
        confusion: images by true (rows) and predicted class (columns); int64 (K, K).
        per_class: one row for each of the K classes, in order.
    """

    n: int
    top1: Interval
    balanced_accuracy: Interval
    macro_f1: Interval
    nll: Interval
    confusion: NDArray[np.int64]
    per_class: list[PerClass]

    def to_json(self, classes: Sequence[str]) -> dict[str, object]:
        """Give plain numbers, lists and dicts for `json.dumps`, without the confusion; nan becomes None.

        An interval under the name x gives the keys x, x_low and x_high.
        """
        headline = {"top1": self.top1, "balanced_accuracy": self.balanced_accuracy, "macro_f1": self.macro_f1}
        return {
            "n": self.n,
            **_flat(headline | {"nll": self.nll}),
            "per_class": [
                {
                    "class": name,
                    **_flat({"precision": row.precision, "recall": row.recall, "f1": row.f1}),
                    "support": row.support,
                }
                for name, row in zip(classes, self.per_class, strict=True)
            ],
        }


def _flat(intervals: dict[str, Interval]) -> dict[str, float | None]:
    flat: dict[str, float | None] = {}
    for name, (value, low, high) in intervals.items():
        flat |= {name: None if math.isnan(value) else value, f"{name}_low": low, f"{name}_high": high}
    return flat


def summary(labels: Ints, probs: Probs, seed: int = 0) -> Summary:
    """Measure predictions: labels (n,) from 0 to K - 1, probs (n, K).

    The predicted class is the likeliest; of equals, the lowest index. `seed` draws the bootstrap's resamples.

    Raises:
        DataError: there is no image, or a row of `probs` is not a distribution.
        UsageError: the shapes disagree, or a label is no class.

    >>> measured = summary(np.array([0, 1, 1]), np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]]))
    >>> measured.confusion.tolist()
    [[1, 0], [1, 1]]
    >>> measured.balanced_accuracy.value
    0.75
    """
    losses = nll(labels, probs)
    confusion = confusion_matrix(labels, probs.argmax(axis=1), probs.shape[1])
    balanced, f1 = bootstrap_confusion(confusion, (balanced_accuracy, macro_f1), seed)
    return Summary(
        n=len(labels),
        top1=top1(confusion),
        balanced_accuracy=balanced,
        macro_f1=f1,
        nll=bootstrap_mean(losses, seed),
        confusion=confusion,
        per_class=per_class(confusion),
    )

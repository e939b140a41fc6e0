"""Measuring a classifier on images: which split, what it had seen, what it says of each; views and ensembles."""

import numpy as np

from ..classifier import Classifier
from ..data.samples import Listing
from ..errors import DataError
from ..metrics import Paired, compare
from ..progress import Track, silent
from .answers import Asked, Evaluation, ask
from .measured import measured_part
from .members import MEMBERS, with_members
from .rows import Named, Row
from .tricks import average, price

__all__ = [
    "MEMBERS",
    "Evaluation",
    "Named",
    "Row",
    "average",
    "compare_classifiers",
    "evaluate",
    "price",
    "with_members",
]


def evaluate(
    classifier: Classifier, listing: Listing, *, threads: int, split: str | None = None, track: Track = silent
) -> Evaluation:
    """Measure a classifier on one split of labelled images.

    Args:
        classifier: what is measured.
        listing: the images.
        threads: images at once.
        split: None takes `test`, or `val` where there is no `test`; of a flat folder the fifth that its hashes name,
            or all of it when the classifier was trained on none of it.
        track: shows progress.

    Raises:
        UsageError: no such split.
        DataError: no image in the split, or a class that the classifier does not know.
    """
    listing, split, left_out = measured_part(classifier, listing, split, threads, track)
    found, [[logits]] = ask([classifier], listing, threads=threads, track=track)
    return Asked(found, classifier.classes, split, left_out).evaluation(classifier.probs(logits), [classifier])


def compare_classifiers(first: Evaluation, second: Evaluation) -> Paired:
    """Compare two evaluations on the images that both could use: first minus second.

    Raises:
        DataError: they have no image in common.
    """
    correct = dict(zip((s.path for s in second.samples), second.correct, strict=True))
    pairs = [
        (right, correct[s.path]) for s, right in zip(first.samples, first.correct, strict=True) if s.path in correct
    ]
    if not pairs:
        raise DataError("the two classifiers have no image in common; give both the same folder and split")
    a, b = (np.array(column, bool) for column in zip(*pairs, strict=True))
    return compare(a, b)

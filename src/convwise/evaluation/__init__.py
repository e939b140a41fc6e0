"""Measuring a classifier on images: which split, what it had seen, what it says of each."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..classifier import Classifier
from ..data.roles import split_flat
from ..data.samples import Listing, Sample, natural_key
from ..errors import DataError, one_of
from ..metrics import Paired, Summary, compare, summary
from ..progress import Track, silent
from ..runtime.gather import gather
from ..runtime.jobs import features_job

SPLITS = ("train", "val", "test", "all")


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a classifier said of the images of one split.

    Attributes:
        split: "train", "val", "test" or "all".
        samples: the n usable images.
        labels: (n,) indices into the classifier's classes.
        probs: (n, K).
        trained_on: how many of the images fitted the classifier's weights.
        chosen_on: how many fitted nothing but made a choice: a penalty, an epoch, the network.
        left_out: how many images of a flat folder stand on the side that is not measured.
        skipped: path -> reason.
        summary: the metrics.
    """

    split: str
    samples: tuple[Sample, ...]
    labels: NDArray[np.int64]
    probs: NDArray[np.float32]
    trained_on: int
    chosen_on: int
    left_out: int
    skipped: dict[str, str]
    summary: Summary

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether each image was classified right; (n,)."""
        right: NDArray[np.bool_] = self.probs.argmax(axis=1) == self.labels
        return right


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
    if split is not None and split not in SPLITS:
        raise one_of("split", split, SPLITS)
    listing, split, left_out = _measured(classifier, listing, split, threads, track)
    _check_classes(classifier, listing)
    job = features_job(
        classifier.frozen,
        classifier.sha256["network.onnx"],
        "logits",
        len(classifier.classes),
        classifier.preprocessing,
    )
    found = gather(listing, [replace(job, name="images")], threads=threads, track=track)
    found.check(listing)
    index = {name: i for i, name in enumerate(classifier.classes)}
    labels = np.array([index[s.label] for s in found.samples], np.int64)
    probs = classifier.probs(found.rows[0])
    seen = classifier.provenance
    return Evaluation(
        split=split,
        samples=found.samples,
        labels=labels,
        probs=probs,
        trained_on=sum(s.sha256 in seen.trained_on for s in found.samples),
        chosen_on=sum(s.sha256 in seen.chosen_on for s in found.samples),
        left_out=left_out,
        skipped=found.skipped,
        summary=summary(labels, probs),
    )


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
    a, b = np.array(pairs, bool).T
    return compare(a, b)


def _measured(
    classifier: Classifier, listing: Listing, split: str | None, threads: int, track: Track
) -> tuple[Listing, str, int]:
    """The part of a folder that is measured, its name, and how many images of a flat folder are not in it."""
    samples = listing.samples
    found = {s.split for s in samples}
    if split == "all":
        return listing, "all", 0
    flat = found <= {None, "train"}  # or a `train` folder alone: `fit` has split it by the hashes
    if flat:
        hashed = gather(listing, [], threads=threads, track=track).samples
        seen = classifier.provenance.trained_on
        if split is None and not any(s.sha256 in seen for s in hashed):
            return listing, "all", 0
        samples = tuple(split_flat([replace(s, split=None) for s in hashed], classifier.provenance.split_seed))
        found = {s.split for s in samples}
        split = split or "test"
    split = split or ("test" if "test" in found else "val")
    if split not in found:
        there = ", ".join(sorted(str(name) for name in found))
        raise DataError(f"data {str(listing.root)!r} has no usable image in split {split!r}, only in {there}")
    measured = tuple(s for s in samples if s.split == split)
    return replace(listing, samples=measured), split, len(samples) - len(measured) if flat else 0


def _check_classes(classifier: Classifier, listing: Listing) -> None:
    unknown = sorted({s.label for s in listing.samples} - set(classifier.classes), key=natural_key)
    if unknown:
        names = ", ".join(repr(name) for name in unknown[:3])
        raise DataError(
            f"data {str(listing.root)!r} has {len(unknown)} class(es) that the classifier does not know: "
            f"{names}; it knows {', '.join(repr(name) for name in classifier.classes[:5])}"
            + (", ..." if len(classifier.classes) > 5 else "")
        )

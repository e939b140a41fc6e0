"""What classifiers say of images: each file read and decoded once for all of them and all their views."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..classifier import Classifier
from ..data.samples import Listing, Sample
from ..data.views import View, views_of
from ..metrics import Reliability, Summary, reliability, summary
from ..progress import Track
from ..runtime.gather import Gathered, gather
from ..runtime.jobs import Job, features_job

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """What a classifier, or several together, said of the images of one split.

    Attributes:
        split: "train", "val", "test" or "all".
        samples: the n usable images.
        labels: (n,) indices into the classifier's classes.
        probs: (n, K).
        trained_on: how many of the images fitted the classifier's weights.
        chosen_on: how many fitted nothing but made a choice: a penalty, an epoch, the network, the temperature.
        left_out: how many images of a flat folder stand on the side that is not measured.
        skipped: path -> reason.
        summary: the metrics.
        reliability: whether answers are right as often as their probability says.
    """

    split: str
    samples: tuple[Sample, ...]
    labels: NDArray[np.int64]
    probs: Floats
    trained_on: int
    chosen_on: int
    left_out: int
    skipped: dict[str, str]
    summary: Summary
    reliability: Reliability

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether each image was classified right; (n,)."""
        right: NDArray[np.bool_] = self.probs.argmax(axis=1) == self.labels
        return right

    @property
    def different(self) -> int:
        """How many of the files differ, byte for byte."""
        return len({s.sha256 for s in self.samples})


@dataclass(frozen=True)
class Asked:
    """What was gathered of the images of one split, and how to make evaluations of it."""

    found: Gathered
    classes: tuple[str, ...]
    split: str
    left_out: int

    def evaluation(self, probs: Floats, members: Sequence[Classifier]) -> Evaluation:
        """Measure probs (n, K), in the order of `classes`, that some classifiers gave together."""
        index = {name: i for i, name in enumerate(self.classes)}
        labels = np.array([index[s.label] for s in self.found.samples], np.int64)
        known = [c.provenance for c in members]
        return Evaluation(
            split=self.split,
            samples=self.found.samples,
            labels=labels,
            probs=probs,
            trained_on=sum(any(s.sha256 in k.trained_on for k in known) for s in self.found.samples),
            chosen_on=sum(any(s.sha256 in k.chosen_on for k in known) for s in self.found.samples),
            left_out=self.left_out,
            skipped=self.found.skipped,
            summary=summary(labels, probs),
            reliability=reliability(labels, probs),
        )


def ask(
    classifiers: Sequence[Classifier], listing: Listing, *, views: str | None = None, threads: int, track: Track
) -> tuple[Gathered, list[list[Floats]]]:
    """Gather logits (n, K) of every classifier: of what a single prediction looks at, then of the views, if any."""
    looks = [[View(c.preprocessing), *(views_of(c.preprocessing, views) if views else ())] for c in classifiers]
    jobs: dict[tuple[str, View], Job] = {}
    for classifier, seen in zip(classifiers, looks, strict=True):
        for view in seen:
            jobs.setdefault((classifier.sha256["network.onnx"], view), _job(classifier, view))
    found = gather(listing, list(jobs.values()), threads=threads, track=track)
    found.check(listing)
    rows = dict(zip(jobs, found.rows, strict=True))
    return found, [
        [rows[c.sha256["network.onnx"], view] for view in seen] for c, seen in zip(classifiers, looks, strict=True)
    ]


def _job(classifier: Classifier, view: View) -> Job:
    job = features_job(classifier.frozen, classifier.sha256["network.onnx"], "logits", len(classifier.classes), view)
    return replace(job, name="images")

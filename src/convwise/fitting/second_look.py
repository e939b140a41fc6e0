"""A second look at the data with the features of a run: labels to doubt, and images that are nearly the same."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..data.roles import FOLDS, Roles, folds
from ..data.samples import Sample
from ..data.text import write_csv
from ..evaluation.doubts import Doubts, find_doubts
from ..evaluation.near_duplicates import Pair, near_duplicates
from ..transfer.head import DEFAULT_L2
from .climb import Fit
from .options import Options

MOST_IMAGES = 100_000  # all pairs are compared: four times the time for twice the images


@dataclass(frozen=True, kw_only=True)
class SecondLook:
    """What the features say of the data.

    Attributes:
        roles: the samples; indices below are into these.
        labels: (n,).
        doubts: about them, each image judged by layers that it did not teach.
        pairs: near-duplicates that are no copies byte by byte; None where there are too many images to compare.
    """

    roles: Roles
    labels: NDArray[np.int64]
    doubts: Doubts
    pairs: tuple[Pair, ...] | None

    def write(self, folder: Path) -> None:
        """Write `doubts.csv` and `near_duplicates.csv`."""
        header = ["path", "split", "label", "suggested", "prob_label", "prob_suggested", "prob_wrong"]
        write_csv(folder / "doubts.csv", header, self._doubt_rows())
        sides = [f"{name}{end}" for end in ("", "_other") for name in ("path", "split", "label")]
        write_csv(folder / "near_duplicates.csv", [*sides, "cosine", "kind"], self._pair_rows())

    def _doubt_rows(self) -> Iterable[list[object]]:
        suggested, probs = self.doubts.suggested(self.labels), self.doubts.probs
        for i in self.doubts.listed:
            s, other = self.roles.samples[i], suggested[i]
            values = probs[i, self.labels[i]], probs[i, other], self.doubts.wrong[i]
            yield [s.path, s.split, s.label, self.roles.classes[other], *(float(f"{v:.6g}") for v in values)]

    def _pair_rows(self) -> Iterable[list[object]]:
        for pair in self.pairs or ():
            a, b = self.roles.samples[pair.first], self.roles.samples[pair.second]
            sides = [value for s in (a, b) for value in (s.path, s.split, s.label)]
            yield [*sides, float(f"{pair.cosine:.6g}"), kind_of(a, b)]


def kind_of(a: Sample, b: Sample) -> str:
    """What is the matter with two images that show nearly the same, in the words of `scan`."""
    if a.label != b.label:
        return "in two classes"
    return "in two splits" if a.split != b.split else "duplicate"


def look_again(fits: Sequence[Fit], roles: Roles, options: Options) -> SecondLook | None:
    """Look at all usable images with the features of the first candidate that has some; None where none has."""
    from threadpoolctl import threadpool_limits

    found = next((fit for fit in fits if fit.candidate.transfer == "head"), None)
    fold_of = np.array(folds(roles.samples, FOLDS, options.split_seed))
    if found is None or len(np.unique(fold_of)) < 2:
        return None
    labels, features = np.array(roles.labels(roles.samples), np.int64), found.rows[0]
    steps = [(step.choice_nll, step.l2) for step in found.fitted.history if step.l2 is not None]
    l2 = min(steps)[1] if steps else DEFAULT_L2
    with threadpool_limits(1):  # as in the fit of the head
        threads = options.thread_count
        doubts = find_doubts(features, labels, len(roles.classes), fold_of, l2, threads=threads)
        pairs = _pairs(features, roles, threads) if len(labels) <= MOST_IMAGES else None
    return SecondLook(roles=roles, labels=labels, doubts=doubts, pairs=pairs)


def _pairs(features: NDArray[np.float32], roles: Roles, threads: int) -> tuple[Pair, ...]:
    """Near-duplicates among the images that differ in their bytes; of copies the first stands for all."""
    first: dict[str, int] = {}
    for i, sample in enumerate(roles.samples):
        first.setdefault(sample.sha256, i)
    own = np.array(list(first.values()))
    found = near_duplicates(features if len(own) == len(features) else features[own], threads=threads)
    return tuple(Pair(int(own[pair.first]), int(own[pair.second]), pair.cosine) for pair in found)

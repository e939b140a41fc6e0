"""One way to classify some images: what it gains, what it costs, and whether that is worth it."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from ..classifier import Classifier
from ..metrics import Paired
from .answers import Evaluation

SIGNIFICANT = 0.05
VIEW_WORDS = {None: "", "flip": ", flip", "10": ", 10 views"}


class Named(NamedTuple):
    """A classifier and what the user calls it."""

    name: str
    classifier: Classifier


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """One way to classify the same images.

    Attributes:
        members: names of the classifiers whose probabilities are averaged; one or more.
        letters: A, B, ... for them; A is the classifier of the first row.
        views: "10", "flip", or None for one view of each image.
        evaluation: what it said; its `probs` are in the order of the first classifier's classes.
        paired: against the first row; None in the first row itself.
        params, macs: of one image, all members and views.
        latency_ms: likewise: one image a call on one thread, the calls one after the other. What is measured is the
            median of 20 calls of each classifier, which take turns.
        quickest_ms: the same of the quickest calls, which other load on the machine changes least.
        first: the row that it is compared with; None in that row itself.
    """

    members: tuple[str, ...]
    letters: tuple[str, ...]
    views: str | None
    evaluation: Evaluation
    paired: Paired | None
    params: int
    macs: int
    latency_ms: float
    quickest_ms: float
    first: "Row | None"

    @property
    def times_macs(self) -> float:
        """Multiple of the first row's MACs."""
        return self.macs / self.first.macs if self.first else 1.0

    @property
    def times_latency(self) -> float:
        """Multiple of the first row's time, by the quickest calls."""
        return self.quickest_ms / self.first.quickest_ms if self.first else 1.0

    @property
    def kind(self) -> str:
        """What it is: "classifier", "views" or "ensemble"."""
        return "ensemble" if len(self.members) > 1 else "views" if self.views else "classifier"

    @property
    def name(self) -> str:
        """As "runs/1 + runs/2, 10 views"."""
        return " + ".join(self.members) + VIEW_WORDS[self.views]

    @property
    def label(self) -> str:
        """As "A + B, 10 views"."""
        return " + ".join(self.letters) + VIEW_WORDS[self.views]

    def to_json(self) -> dict[str, Any]:
        """Plain values: what it is, its figures, and against the first row `change` in top-1 and `times`."""
        summary, change = self.evaluation.summary, self.paired
        return {
            "name": self.name, "kind": self.kind, "members": list(self.members), "views": self.views,
            "top1": summary.top1.value, "top1_low": summary.top1.low, "top1_high": summary.top1.high, "n": summary.n,
            "nll": summary.nll.value, "ece": self.evaluation.reliability.ece,
            "change": change and change.difference, "change_low": change and change.low,
            "change_high": change and change.high, "paired": change and change._asdict(),
            "macs": self.macs, "params": self.params, "latency_ms": self.latency_ms,
            "times_macs": self.times_macs, "times_latency": self.times_latency,
            "trained_on": self.evaluation.trained_on, "chosen_on": self.evaluation.chosen_on,
            "verdict": self.verdict,
        }  # fmt: skip

    @property
    def verdict(self) -> str:
        """Whether it is worth deploying in place of the first row; empty there."""
        if self.paired is None:
            return ""
        times, least = f"{self.times_latency:.2g} times the time", f"{100 * self.paired.low:.1f} points or more"
        unsure = f"(p = {self.paired.p_value:.2g})"
        if self.kind == "classifier":
            takes = "as long" if 0.95 <= self.times_latency < 1.05 else times
            return f"{ALONE[_gain(self.paired)].format(unsure=unsure)}; it takes {takes}"
        return {
            "better": f"worth it where {times} can be spent: {least} are gained",
            "worse": f"not worth it: it is worse, and takes {times}",
            "same": f"not worth it: right on the same images as A alone, for {times}",
            "unknown": f"not worth it on this evidence: too few images to tell it from A alone {unsure}, for {times}",
        }[_gain(self.paired)]


ALONE = {
    "better": "better", "worse": "worse", "same": "right on the same images",
    "unknown": "too few images to tell them apart {unsure}",
}  # fmt: skip


def _gain(paired: Paired) -> str:
    """Name the difference: "better" and "worse" only where the test and the interval agree."""
    if paired.a_only == paired.b_only == 0:
        return "same"
    if paired.p_value < SIGNIFICANT and (paired.low > 0 or paired.high < 0):
        return "better" if paired.difference > 0 else "worse"
    return "unknown"

"""What a run found, before it is written down."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..classifier import Classifier
from ..cost import Totals
from ..data.roles import Roles
from ..data.samples import Listing, Sample
from ..evaluation import Row
from ..metrics import Interval, Paired, Reliability, Summary, Temperature
from ..runtime.latency import Latency
from ..training.recipe import Recipe
from ..transfer.pieces import Piece
from ..weights import Used
from .options import Options
from .second_look import SecondLook
from .task import Step


class Tried(NamedTuple):
    """A candidate, its cost, and what the choice looked at, `choice_n` images; the last four as in `Fitted`, `Fit`."""

    network: str
    transfer: str
    resolution: int
    how_chosen: str
    choice_top1: Interval
    choice_nll: float
    choice_n: int
    cost: Totals
    history: tuple[Step, ...]
    seconds: float
    chosen: bool
    weights: Used | None
    pieces: tuple[Piece, ...]
    gain: Paired | None
    ended: str
    recipe: Recipe | None

    @property
    def macs_trained(self) -> int:
        """Multiply-accumulates, one image, of what is not frozen."""
        return sum(p.macs for p in self.pieces if p.state != "frozen") if self.pieces else self.cost.macs


class Calibration(NamedTuple):
    """A temperature, on which images it was fitted, and what it does to the measured ones."""

    where: str
    temperature: Temperature
    before: Reliability
    after: Reliability

    def to_json(self) -> dict[str, Any]:
        """Plain values for `metrics.json`; what is not called `before` is at the temperature."""
        bins = [
            {"low": b.low, "high": b.high, "n": b.n, "prob": b.prob, **dict(zip(RIGHT, b.right, strict=True))}
            for b in self.after.bins
            if b.n
        ]
        return {
            "temperature": self.temperature.value, "fitted_on": self.where, "fitted_on_n": self.temperature.n,
            "ece_before": self.before.ece, "ece": self.after.ece, "ece_by_chance": self.after.ece_by_chance,
            "nll_before": self.before.nll, "nll": self.after.nll, "bins": bins,
        }  # fmt: skip


RIGHT = ("right", "right_low", "right_high")


class Members(NamedTuple):
    """Further members of an ensemble, what a user should know of them, and how long they took."""

    classifiers: tuple[Classifier, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0


ALONE = Members()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Everything that the files of a run are written from.

    Attributes:
        listing, roles: the data.
        skipped: path -> reason.
        notes: what the user should know about the data.
        measured: samples of the measured split.
        labels, probs: theirs, (n,) and (n, K), at the temperature.
        summary: the metrics on them.
        calibration: how far the probabilities can be trusted.
        cross_validation: top-1 inside train of the chosen candidate, where that chose the penalty.
        tried: the candidates.
        options: of the run.
        second_look: at the labels and near-duplicates, where a candidate has features.
        members: the chosen candidate from other seeds.
        prices: what averaging with them gains; filled at the end.
        latency, seconds: filled at the end.
    """

    listing: Listing
    roles: Roles
    skipped: dict[str, str]
    notes: tuple[str, ...]
    measured: tuple[Sample, ...]
    labels: NDArray[np.int64]
    probs: NDArray[np.float32]
    summary: Summary
    calibration: Calibration
    cross_validation: Interval | None
    tried: tuple[Tried, ...]
    options: Options
    second_look: SecondLook | None = None
    members: Members = ALONE
    prices: tuple[Row, ...] = ()
    latency: Latency | None = None
    seconds: float = 0.0

    @property
    def chosen(self) -> Tried:
        """The candidate that was chosen."""
        return next(t for t in self.tried if t.chosen)

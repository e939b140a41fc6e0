"""What a run found, before it is written down."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..cost import Totals
from ..data.roles import Roles
from ..data.samples import Listing, Sample
from ..metrics import Interval, Summary
from ..runtime.latency import Latency
from ..weights import Used
from .options import Options
from .second_look import SecondLook
from .task import Step


class Tried(NamedTuple):
    """A candidate, what it cost, and what the choice looked at."""

    network: str
    transfer: str
    resolution: int
    how_chosen: str
    choice_top1: Interval
    choice_nll: float
    cost: Totals
    history: tuple[Step, ...]
    seconds: float
    chosen: bool
    weights: Used | None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Everything that the files of a run are written from.

    Attributes:
        listing, roles: the data.
        skipped: path -> reason.
        notes: what the user should know about the data.
        measured: samples of the measured split.
        labels, probs: theirs, (n,) and (n, K).
        summary: the metrics on them.
        cross_validation: top-1 inside train of the chosen candidate, where that chose the penalty.
        tried: the candidates.
        options: of the run.
        second_look: at the labels and near-duplicates, where a candidate has features.
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
    cross_validation: Interval | None
    tried: tuple[Tried, ...]
    options: Options
    second_look: SecondLook | None = None
    latency: Latency | None = None
    seconds: float = 0.0

    @property
    def chosen(self) -> Tried:
        """The candidate that was chosen."""
        return next(t for t in self.tried if t.chosen)

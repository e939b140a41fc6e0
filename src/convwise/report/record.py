"""What the page of a run tells: one record, `Report`, and before it the records that it is made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ..metrics import Interval, Paired, Reliability
from ..transfer.pieces import Piece
from ..weights import Used
from .epochs import Training


class Split(NamedTuple):
    """One split: what it was used for, in words, and its images, per class in the order of `Report.classes`."""

    name: str
    role: str
    n: int
    counts: tuple[int, ...]


class Skipped(NamedTuple):
    """A file that could not be used, and why."""

    path: str
    reason: str


class Candidate(NamedTuple):
    """A classifier that was tried in `seconds`; the choice looked at `choice_top1` (None: not measured).

    On a ladder `gain` is over the rung below, and `ended` says why none above was tried. `pieces` is what was done to
    the parts of the network.
    """

    name: str
    transfer: str
    resolution: int
    how_chosen: str
    choice_top1: Interval | None
    macs: int
    params: int
    chosen: bool
    seconds: float
    weights: Used | None = None
    macs_trained: int = 0
    gain: Paired | None = None
    ended: str = ""
    pieces: tuple[Piece, ...] = ()


class Measured(NamedTuple):
    """The one measurement that chose nothing, on the `n` images of `split`; `nll` in nats."""

    split: str
    n: int
    top1: Interval
    balanced_accuracy: Interval
    macro_f1: Interval
    nll: Interval


class CrossValidation(NamedTuple):
    """What cross-validation inside train gave, and the sentence that says why it is not the estimate."""

    top1: Interval
    sentence: str


class ClassScores(NamedTuple):
    """The scores of one class on its `n` images of the measured split; nan where the split has none."""

    label: str
    n: int
    precision: Interval
    recall: Interval
    f1: Interval


class Mistake(NamedTuple):
    """An image classified wrong; `thumbnail` is a JPEG, about 160 pixels wide, or None, `heat` the same with heat."""

    path: str
    true: str
    predicted: str
    prob_predicted: float
    prob_true: float
    thumbnail: bytes | None
    heat: bytes | None = None


class Doubt(NamedTuple):
    """A label that is wrong with probability `prob_wrong`; the other two are of classes, out of fold."""

    path: str
    split: str
    label: str
    suggested: str
    prob_label: float
    prob_suggested: float
    prob_wrong: float
    thumbnail: bytes | None


class Doubts(NamedTuple):
    """Of `n` images those whose labels are doubtful, `n_listed`, the most doubtful first; some are `shown`."""

    n: int
    n_listed: int
    shown: tuple[Doubt, ...]


class Side(NamedTuple):
    """One of two images that are nearly the same."""

    path: str
    split: str
    label: str
    thumbnail: bytes | None


class Copy(NamedTuple):
    """Two images that are nearly the same; `kind` is "in two classes", "in two splits" or "duplicate"."""

    first: Side
    second: Side
    cosine: float
    kind: str


class Copies(NamedTuple):
    """All `n` such pairs, some `shown`; `twins` images of the split `measured` have theirs in another split."""

    n: int
    twins: int
    measured: str
    shown: tuple[Copy, ...]


class Calibration(NamedTuple):
    """A temperature, on what it was fitted (in words, and how many), and what it did to the measured images."""

    temperature: float
    fitted_on: str
    fitted_on_n: int
    before: Reliability
    after: Reliability


class Together(NamedTuple):
    """The average of some classifiers: against the first of them (None there) the change of top-1, and multiples."""

    label: str
    top1: Interval
    change: Interval | None
    times_macs: float
    times_latency: float
    verdict: str


class Ensemble(NamedTuple):
    """One network trained from several seeds: the average of the first, of two, ... of all.

    `places` are letters and folders; alone they are right on shares from `least` to `most`; all but the first took
    `seconds` to train.
    """

    rows: tuple[Together, ...]
    places: tuple[tuple[str, str], ...]
    least: float
    most: float
    seconds: float


class Cost(NamedTuple):
    """What one prediction costs: counted params, macs and weight_bytes, measured milliseconds (median and p95)."""

    params: int
    macs: int
    weight_bytes: int
    latency_ms: float
    latency_p95_ms: float
    latency_n: int
    threads: int
    device: str


class NextStep(NamedTuple):
    """A sentence about what a command does, and the command."""

    sentence: str
    command: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """All that the page tells. `created` is an ISO date; `seconds` is the whole run; rows of `confusion` are true.

    `timed` is what measured time had a say in, in words.
    """

    title: str
    command: str
    data: str
    created: str
    version: str
    machine: str
    seconds: float
    classes: tuple[str, ...]
    splits: tuple[Split, ...]
    measured: Measured
    per_class: tuple[ClassScores, ...]
    confusion: tuple[tuple[int, ...], ...]
    mistakes: tuple[Mistake, ...]
    candidates: tuple[Candidate, ...]
    cost: Cost
    doubts: Doubts | None = None
    copies: Copies | None = None
    next_steps: tuple[NextStep, ...] = ()
    cross_validation: CrossValidation | None = None
    calibration: Calibration | None = None
    ensemble: Ensemble | None = None
    trainings: tuple[Training, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    ignored: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    timed: tuple[str, ...] = ()

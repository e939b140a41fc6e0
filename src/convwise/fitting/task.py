"""What a candidate is given, and what it gives back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from .. import networks
from ..cost import CostReport, Totals, analyze, sketch
from ..data.preprocessing import Preprocessing
from ..data.provenance import Provenance
from ..data.roles import FOLDS, Roles, folds, held_out
from ..data.samples import Listing, Sample
from ..errors import DataError
from ..metrics import Interval
from ..progress import Track
from ..runtime.jobs import Job
from ..runtime.session import FrozenNetwork
from ..training.recipe import Recipe
from ..transfer.pieces import Piece
from ..weights import Used
from .draft import Draft
from .options import Options

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]


class TooFewError(DataError):
    """There are images, but none to spare for the choice of an epoch."""


class Taught(NamedTuple):
    """What weights learn with a teacher.

    Attributes:
        shares: (n, K), of label and teacher, which add up to 1; zeros of samples that weights do not learn from.
        by: where the teacher, or each member of it, comes from.
        notes: what a user should know of it.
    """

    shares: Floats
    by: tuple[Provenance, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Task:
    """What every candidate is fitted on; arrays are over the n usable samples.

    Attributes:
        listing: where the samples are.
        samples: with their hashes.
        labels: (n,).
        num_classes: K.
        train: which fit the weights.
        held_out: the tenth of `train` that chooses epochs; empty where `val` chooses.
        val: which choose, where train, val and test are given.
        folds: number of the cross-validation fold of each sample of `train`, -1 elsewhere.
        compare: on which samples the candidates are compared with one another.
        balance: weigh all classes alike.
        taught: what a training by epochs learns of a teacher; None without one.
        from_files: whether training takes whole images as their files have them, since prepared ones are more than the
            cache may take.
    """

    listing: Listing
    samples: tuple[Sample, ...]
    labels: NDArray[np.int64]
    num_classes: int
    train: Mask
    held_out: Mask
    val: Mask
    folds: NDArray[np.int64]
    compare: Mask
    balance: bool
    taught: Taught | None = None
    from_files: bool = False

    @property
    def chooses_epochs(self) -> bool:
        """Whether there are images that choose the epoch of a training."""
        return bool(self.held_out.any() or self.val.any())

    @property
    def targets(self) -> NDArray[np.int64] | Floats:
        """What a training by epochs learns: labels (n,), or shares (n, K)."""
        return self.labels if self.taught is None else self.taught.shares

    def contents(self, mask: Mask) -> list[bytes]:
        """SHA-256 of the files of some of the samples."""
        return [bytes.fromhex(self.samples[i].sha256) for i in np.flatnonzero(mask).tolist()]


def make_task(
    listing: Listing, roles: Roles, options: Options, *, trained: bool, from_files: bool = False
) -> Task:  # fmt: skip
    """Share out who fits, who chooses and who compares.

    Args:
        listing: where the samples are.
        roles: of them.
        options: of the run.
        trained: whether a candidate is trained by epochs.
        from_files: as in `Task`.

    Raises:
        TooFewError: such a training has no image to choose its epoch by.
    """
    samples = roles.samples
    train = np.array([s.split == "train" for s in samples])
    val = np.array([roles.chooses == "val" and s.split == "val" for s in samples])
    learnt = [s for s in samples if s.split == "train"]
    tenth, fold_of = np.zeros(len(samples), bool), np.full(len(samples), -1)
    if not val.any():
        fold_of[train] = folds(learnt, FOLDS, options.split_seed)
        if trained:
            tenth[train] = held_out(learnt, options.split_seed)
            if not tenth.any():
                raise TooFewError(
                    "training by epochs holds a tenth of `train` out to choose the epoch, and no class has two "
                    "different images to spare; add images"
                )
    compare = val if val.any() else tenth if trained else train
    return Task(
        listing=listing, samples=samples,
        labels=np.array(roles.labels(samples), np.int64), num_classes=len(roles.classes), train=train, held_out=tenth,
        val=val, folds=fold_of, compare=compare, balance=options.balance,
        from_files=from_files,
    )  # fmt: skip


class Judged(NamedTuple):
    """What weights said of images that they had not seen and that made a choice: labels (n,), probs (n, K).

    `where` are the images, in words. The temperature is fitted on them.
    """

    where: str
    labels: NDArray[np.int64]
    probs: Floats


class Step(NamedTuple):
    """A row of `history.csv`: one strength of the penalty, or one epoch."""

    epoch: int | None = None
    l2: float | None = None
    train_loss: float | None = None
    choice_nll: float | None = None
    choice_top1: float | None = None
    lr: float | None = None
    images_per_second: float | None = None
    waiting: float | None = None
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A candidate that was fitted.

    Attributes:
        choice_probs: (samples of `Task.compare`, K), from weights that had not seen them.
        judged: what the choice of the penalty or of the epoch looked at.
        how_chosen: what was chosen, and on what, for people.
        cross_validation: top-1 of the cross-validation that chose the penalty.
        history: rows of `history.csv`.
        arguments: of the network's builder.
        preprocessing: with the final mean and std.
        probs: rows of this candidate's first job -> probabilities.
        fitted_on: which samples the weights have seen.
        rear: `module:builder` of the user's own layers, and the cut behind which they stand; None for none.
        pieces: what happened to each part of a published network; empty where there is nothing to tell.
        recipe: that the weights were trained by, epoch by epoch; None where there was none.
        artefacts: makes the state dict (safetensors) and the graph (ONNX), serialised.
        taught_by: classifiers whose answers the weights have learnt.
        seconds: it took.
        notes: what else a user should know of it.
    """

    choice_probs: Floats
    judged: Judged
    how_chosen: str
    cross_validation: Interval | None
    history: tuple[Step, ...]
    arguments: dict[str, Any]
    preprocessing: Preprocessing
    probs: Callable[[NDArray[Any]], Floats]
    fitted_on: Mask
    artefacts: Callable[[], tuple[bytes, bytes]]
    seconds: float
    notes: tuple[str, ...] = ()
    taught_by: tuple[Provenance, ...] = ()
    rear: tuple[str, str] | None = None
    pieces: tuple[Piece, ...] = ()
    recipe: Recipe | None = None


class Candidate(Protocol):
    """A network and a way to train it."""

    network: str
    transfer: str
    preprocessing: Preprocessing

    @property
    def weights(self) -> Used | None:
        """The published weights that it stands on; known after `prepare`."""
        ...

    def jobs(self, listing: Listing) -> list[Job]:
        """What is wanted of every image: first what an evaluation takes, then what else training is glad of."""
        ...

    def cost(self, num_classes: int) -> Totals:
        """What the classifier will cost; known before `prepare`."""
        ...

    def check_memory(self, images: int, num_classes: int, /) -> None:
        """Refuse what this machine has no memory for; before `prepare`."""
        ...

    def prepare(self, track: Track) -> None:
        """Get ready what all else but `cost` needs, such as published weights."""
        ...

    def frozen(self) -> FrozenNetwork:
        """The network for a measurement of its time; the last layer may be missing."""
        ...

    def within(self, seconds: float) -> "Candidate":
        """The same, with another time limit for its training, where it is trained by epochs."""
        ...

    def fit(self, rows: Sequence[Any], task: Task, draft: Draft, *, threads: int, track: Track) -> Fitted:
        """Fit on the rows of this candidate's jobs, by sample; the draft keeps what an interrupted run needs."""
        ...


def sketched_cost(
    network: str, num_classes: int, arguments: Mapping[str, object], preprocessing: Preprocessing
) -> CostReport:
    """What a network costs, counted without weights."""
    with sketch():
        module = networks.create(network, num_classes, arguments)
    height, width, channels = preprocessing.shape
    return analyze(module, (channels, height, width))

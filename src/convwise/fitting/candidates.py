"""The candidates of a run: each says what it wants of the images, what it costs, and fits itself."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from .. import networks, weights
from ..cost import CostReport, analyze
from ..data.preprocessing import Preprocessing
from ..errors import DataError
from ..metrics import Interval, softmax, wilson
from ..runtime.body import Body, prepare_body
from ..runtime.gather import Job, Track, features_job, pixels_job
from ..runtime.session import FrozenNetwork
from ..transfer.design import Design
from ..transfer.head import choose_l2, fit_head
from .options import Options

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Task:
    """What every candidate is fitted on; arrays are over the n usable samples.

    Attributes:
        labels: (n,).
        num_classes: K.
        train: which fit the weights.
        held_out: the tenth of `train` that chooses epochs; empty where `val` chooses.
        val: which choose, where train, val and test are given.
        folds: number of the cross-validation fold of each sample of `train`, -1 elsewhere.
        compare: on which samples the candidates are compared with one another.
        balance: weigh all classes alike.
    """

    labels: NDArray[np.int64]
    num_classes: int
    train: Mask
    held_out: Mask
    val: Mask
    folds: NDArray[np.int64]
    compare: Mask
    balance: bool


class Step(NamedTuple):
    """A row of `history.csv`: one strength of the penalty, or one epoch."""

    epoch: int | None
    l2: float | None
    train_nll: float | None
    choice_nll: float
    choice_top1: float | None
    seconds: float | None


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A candidate that was fitted.

    Attributes:
        choice_probs: (samples of `Task.compare`, K), from weights that had not seen them.
        how_chosen: what was chosen, and on what, for people.
        cross_validation: top-1 of the cross-validation that chose the penalty.
        history: rows of `history.csv`.
        arguments: of the network's builder.
        preprocessing: with the final mean and std.
        probs: rows of this candidate -> probabilities.
        fitted_on: which samples the weights have seen.
        artefacts: makes the state dict (safetensors) and the graph (ONNX), serialised.
        seconds: it took.
    """

    choice_probs: Floats
    how_chosen: str
    cross_validation: Interval | None
    history: tuple[Step, ...]
    arguments: dict[str, Any]
    preprocessing: Preprocessing
    probs: Callable[[NDArray[Any]], Floats]
    fitted_on: Mask
    artefacts: Callable[[], tuple[bytes, bytes]]
    seconds: float


class Candidate(Protocol):
    """A network and a way to train it."""

    network: str
    transfer: str
    preprocessing: Preprocessing

    def job(self) -> Job:
        """What is wanted of every image."""
        ...

    def cost(self, num_classes: int) -> CostReport:
        """What the classifier will cost."""
        ...

    def frozen(self) -> FrozenNetwork:
        """The network for a measurement of its time; the last layer may be missing."""
        ...

    def fit(self, rows: NDArray[Any], task: Task, *, threads: int, track: Track) -> Fitted:
        """Fit on this candidate's rows, one for each sample."""
        ...


class HeadCandidate:
    """A softmax layer on the frozen features of published weights."""

    transfer = "head"

    def __init__(self, network: str, resolution: int | None) -> None:
        published = weights.published(network)
        assert published is not None
        self.network, self.published = network, published
        size = resolution or published.preprocessing.resolution
        self.preprocessing = replace(published.preprocessing, resolution=size)
        self.body: Body = prepare_body(published, self.preprocessing)

    def frozen(self) -> FrozenNetwork:
        """The body."""
        return self.body.frozen()

    def job(self) -> Job:
        """Features."""
        return features_job(self.frozen(), self.body.graph_sha256, "features", self.body.width, self.preprocessing)

    def cost(self, num_classes: int) -> CostReport:
        """The body and a linear layer of (width + 1) x K."""
        params = self.body.params + (self.body.width + 1) * num_classes
        return CostReport(params, self.body.macs + self.body.width * num_classes, 4 * params)

    def fit(self, rows: NDArray[Any], task: Task, *, threads: int, track: Track) -> Fitted:  # noqa: ARG002
        """Choose the penalty, then fit on all of `train`."""
        from threadpoolctl import threadpool_limits

        start = time.monotonic()
        if not np.isfinite(rows).all():
            raise DataError("cached features are damaged (not finite); clear them with `convwise cache --clear`")
        with threadpool_limits(1):  # the rows are shared out among our own threads, which do not spin while they wait
            return self._fit(rows, task, start, threads)

    def _fit(self, rows: Floats, task: Task, start: float, threads: int) -> Fitted:
        used = task.train | task.val
        by_val = bool(task.val.any())
        fold_of = np.where(task.val, 0, -1) if by_val else task.folds
        labels = task.labels[used]
        design = Design(rows if used.all() else rows[used], task.train[used], threads)
        choice = choose_l2(design, labels, task.num_classes, fold_of[used], balance=task.balance)
        head = fit_head(design, labels, task.num_classes, choice.l2, balance=task.balance, start=choice.start)
        if not head.converged:
            raise DataError("the softmax layer did not converge; try another --resolution, or `convwise scan`")
        count = len(np.unique(task.folds[task.folds >= 0]))
        right = int((choice.probs.argmax(axis=1) == labels).sum())
        judge = "the `val` split" if by_val else f"{count}-fold cross-validation inside `train`"
        history = tuple(Step(None, l2, None, nll, None, None) for l2, nll in choice.path)
        return Fitted(
            choice_probs=choice.probs[task.compare[used]],
            how_chosen=f"L2 strength {choice.l2:.2g} by {judge}",
            cross_validation=None if by_val else wilson(right, len(labels)),
            history=history,
            arguments=dict(self.published.arguments),
            preprocessing=self.preprocessing,
            probs=lambda measured: softmax(head.logits(measured)),
            fitted_on=task.train,
            artefacts=lambda: self._artefacts(head.weight, head.bias),
            seconds=time.monotonic() - start,
        )

    def _artefacts(self, weight: Floats, bias: Floats) -> tuple[bytes, bytes]:
        from ..runtime.onnx_head import with_head

        last = self.body.last_layer
        state = self.body.weights() | {f"{last}.weight": weight, f"{last}.bias": bias}
        return _safetensors(state), with_head(self.body.graph, weight, bias)


class ScratchCandidate:
    """A network trained from random weights."""

    transfer = "none"

    def __init__(self, network: str, options: Options) -> None:
        entry = networks.describe(network)
        self.network, self.options = network, options
        size, channels = options.resolution or entry.resolution, entry.channels
        self.preprocessing = Preprocessing(
            channels=channels, resolution=size, crop=1.0, mean=(127.5,) * channels, std=(127.5,) * channels
        )
        self.arguments = {"resolution": size} if "resolution" in entry.arguments else {}

    def job(self) -> Job:
        """Pixels."""
        return pixels_job(self.preprocessing)

    def cost(self, num_classes: int) -> CostReport:
        """Counted on the network itself."""
        network = networks.create(self.network, num_classes, self.arguments)
        height, width, channels = self.preprocessing.shape
        return analyze(network, (channels, height, width))

    def frozen(self) -> FrozenNetwork:
        """The network as it is before training."""
        from ..runtime.graph import export_graph

        network = networks.create(self.network, 2, self.arguments)
        return FrozenNetwork(export_graph(network, self.preprocessing, ["logits"]).SerializeToString())

    def fit(self, rows: NDArray[Any], task: Task, *, threads: int, track: Track) -> Fitted:
        """Train; `val`, or the tenth of `train` held out by hash, chooses the epoch."""
        import torch

        from ..runtime.graph import classifier_graph
        from ..training.loop import Images, Recipe, train

        start = time.monotonic()
        learn = task.train & ~task.held_out
        choose = task.val if task.val.any() else task.held_out
        mean, std = pixel_statistics(rows[learn])
        preprocessing = replace(self.preprocessing, mean=mean, std=std)
        weights_of = np.ones(len(rows), np.float32)
        if task.balance:
            counts = np.bincount(task.labels[learn], minlength=task.num_classes)
            weights_of[learn] = learn.sum() / (np.count_nonzero(counts) * counts[task.labels[learn]])

        def images(mask: Mask) -> Images:
            parts = (rows[mask], task.labels[mask], weights_of[mask])
            return Images(*(torch.from_numpy(np.ascontiguousarray(part)) for part in parts))

        recipe = Recipe(seed=self.options.seed, time_limit=self.options.time_limit)
        recipe = replace(recipe, epochs=self.options.epochs or recipe.epochs)
        trained = train(
            lambda: networks.create(self.network, task.num_classes, self.arguments), recipe, preprocessing,
            images(learn), images(choose), threads=threads, track=track,
        )  # fmt: skip
        best = min(trained.history, key=lambda row: row.choice_nll)
        judge = "the `val` split" if task.val.any() else "a tenth of `train`, held out by hash"
        graph = classifier_graph(trained.network, preprocessing).SerializeToString(deterministic=True)
        session = FrozenNetwork(graph)
        state = {name: tensor.numpy() for name, tensor in trained.network.state_dict().items()}
        return Fitted(
            choice_probs=trained.probs[task.compare[choose]],
            how_chosen=f"epoch {best.epoch} of {len(trained.history)} by {judge}",
            cross_validation=None,
            history=tuple(
                Step(h.epoch, None, h.train_nll, h.choice_nll, h.choice_top1, h.seconds) for h in trained.history
            ),
            arguments=self.arguments,
            preprocessing=preprocessing,
            probs=lambda measured: _run(session, measured),
            fitted_on=learn,
            artefacts=lambda: (_safetensors(state), graph),
            seconds=time.monotonic() - start,
        )


def make_candidates(options: Options) -> list[Candidate]:
    """Make the candidates that the options name.

    Raises:
        DataError: published weights are missing or damaged.
    """
    return [
        HeadCandidate(name, options.resolution)
        if options.transfer_of(name) == "head"
        else ScratchCandidate(name, options)
        for name in options.network
    ]


def pixel_statistics(pixels: NDArray[np.uint8]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation a channel of (n, H, W, C), in levels of 0..255, by exact counts of the levels."""
    levels = np.arange(256.0)
    means, stds = [], []
    for channel in range(pixels.shape[3]):
        counts = np.bincount(pixels[..., channel].ravel(), minlength=256)
        mean = float(np.average(levels, weights=counts))
        means.append(mean)
        stds.append(max(1.0, float(np.sqrt(np.average((levels - mean) ** 2, weights=counts)))))
    return tuple(means), tuple(stds)


def _safetensors(state: Mapping[str, NDArray[Any]]) -> bytes:
    """Serialise a state dict; safetensors writes memory as it lies, so every array is made contiguous first."""
    blob: bytes = safetensors.numpy.save({name: np.ascontiguousarray(array) for name, array in state.items()})
    return blob


def _run(session: FrozenNetwork, pixels: NDArray[np.uint8]) -> Floats:
    """Probabilities (n, K) of prepared pixels."""
    chunks = [session.run(pixels[i : i + 64], ["logits"])[0] for i in range(0, len(pixels), 64)]
    return softmax(np.concatenate(chunks))

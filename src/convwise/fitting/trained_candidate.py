"""A network that is trained, in part or as a whole."""

import copy
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .. import networks
from ..cost import Totals, analyze, sketch
from ..data.reduction import Reduction
from ..data.samples import Listing
from ..errors import DivergedError, UsageError
from ..guest import code_of, guarding
from ..metrics import softmax
from ..progress import Track
from ..runtime.jobs import Job, pixels_job
from ..runtime.prepared import prepared_job
from ..runtime.session import FrozenNetwork
from ..training.recipe import UNCHANGED, Recipe
from ..weights import Used, serialise
from .draft import Draft
from .options import Options
from .start import Start
from .task import Fitted, Floats, Judged, Step, Task
from .trial_export import check_export

if TYPE_CHECKING:
    from torch import nn

    from ..training.loop import Trained
    from ..training.memory import Memory
    from ..training.plan import Plan
    from ..training.state import Setting
    from .training_data import TrainingData

T = TypeVar("T")


class TrainedCandidate:
    """A network that is trained, in part or as a whole, from published weights or from random ones."""

    def __init__(self, start: Start, options: Options) -> None:
        self.start, self.options = start, options
        self.network, self.transfer, self.preprocessing = start.name, start.transfer, start.preprocessing
        self.recipe = start.recipe
        self.number = 1  # of those that are trained alike but for their seed
        self.cost(2)  # a resolution that it cannot have is said before a file is read

    @property
    def weights(self) -> Used | None:
        """The published weights that it starts from."""
        return self.start.weights

    @property
    def name(self) -> str:
        """Of its training in the run, unlike that of any other candidate."""
        return self.network if self.transfer == "none" else f"{self.network}-{self.transfer}"

    def member(self, number: int) -> "TrainedCandidate":
        """The same training from another seed: number 1 has the recipe's own, each next one the seed after it."""
        other = self._by(replace(self.recipe, seed=(self.recipe.seed + number - 1) % 2**63))
        other.number = number
        return other

    @property
    def _called(self) -> str:
        """For people."""
        return self.network if self.number == 1 else f"member {self.number} of {self.network}"

    def jobs(self, listing: Listing) -> list[Job]:
        """Pixels; and whole images, where training shows other parts of them."""
        jobs = [pixels_job(self.preprocessing)]
        if self.recipe.augmentation != UNCHANGED:
            jobs.append(prepared_job(listing, Reduction.for_training(self.preprocessing, self.recipe.augmentation)))
        return jobs

    def cost(self, num_classes: int) -> Totals:
        """Counted on the network itself."""
        height, width, channels = self.preprocessing.shape
        with self._guarded():
            return analyze(self._kept(num_classes), (channels, height, width)).totals

    def _guarded(self) -> AbstractContextManager[None]:
        """Around whatever runs layers of the user's."""
        return nullcontext() if self.start.rear is None else guarding(self.start.rear[0])

    def _kept(self, num_classes: int) -> "nn.Module":
        """The network without numbers, as it is kept: without auxiliary heads."""
        network = self.start.sketched(num_classes)
        if getattr(network, "aux", None):
            with sketch():
                return networks.create(self.network, num_classes, self.start.arguments)
        return network

    def check_memory(self, images: int, num_classes: int) -> None:
        """Refuse a training that this machine, or its GPU, has no memory for.

        Args:
            images: of the data.
            num_classes: of the data.

        Raises:
            MachineError: it has not.
            UsageError: batches that batch norm cannot train on; or "cuda", and torch sees no GPU.
        """
        from ..training.device import choose_device
        from ..training.memory import check_memory

        def count(recipe: Recipe, resolution: int) -> "Memory":
            return self.memory(recipe, resolution, images, num_classes)

        check_memory(
            count, self.recipe, self.preprocessing.resolution, self._smaller(), what=self.network,
            device=choose_device(self.options.device),
        )  # fmt: skip

    def memory(self, recipe: Recipe, resolution: int, images: int, num_classes: int) -> "Memory":
        """What a training takes."""
        from ..training.memory import training_memory

        network = self.start.sketched(num_classes, resolution)
        shape = self.start.input_shape(network, resolution)
        part = self.start.trained(network).to("meta")
        with self._guarded():
            return training_memory(part, recipe, shape, images, held=self.start.held(images, shape, resolution))

    def _smaller(self) -> Iterator[int]:
        """Halves of the resolution, down to the smallest that the network takes."""
        size = self.preprocessing.resolution
        while (size := size // 2) > 0:
            try:
                self.memory(self.recipe, size, 2, 2)
            except UsageError:
                return
            yield size

    def prepare(self, track: Track) -> None:
        """Load published weights, and see whether layers of the user's can be exported.

        Raises:
            UsageError: they cannot, which must not be found out after training.
        """
        self.start.prepare(track)
        if self.start.rear is not None:
            check_export(self.start.rear[0], self.start.network(2), self.preprocessing)

    def frozen(self) -> FrozenNetwork:
        """The network as it is before training."""
        from ..runtime.graph import export_graph

        network = self.start.network(2)
        return FrozenNetwork(export_graph(network, self.preprocessing, ["logits"]).SerializeToString())

    def within(self, seconds: float) -> "TrainedCandidate":
        """The same, with another time limit."""
        return self._by(replace(self.recipe, time_limit=seconds))

    def _by(self, recipe: Recipe) -> "TrainedCandidate":
        start = copy.copy(self.start)
        start.recipe = recipe
        return TrainedCandidate(start, self.options)

    def fit(self, rows: Sequence[Any], task: Task, draft: Draft, *, threads: int, track: Track) -> Fitted:
        """Train; `val`, or the tenth of `train` held out by hash, chooses the epoch.

        Raises:
            DivergedError: it came to no weights.
        """
        start = time.monotonic()
        data = self.start.data(rows, task, threads=threads, track=track)
        try:
            with self._guarded():
                trained = self._train(data, task.num_classes, draft, threads=threads, track=track)
        except DivergedError as error:
            raise DivergedError(f"{self._called}: {error}") from error
        with self._guarded():
            return self._fitted(trained, data, task, start)

    def _train(self, data: "TrainingData", num_classes: int, draft: Draft, *, threads: int, track: Track) -> "Trained":
        """Begin to train, or go on."""
        from ..training.checkpoint import Checkpoints, identity
        from ..training.device import choose_device
        from ..training.loop import train
        from ..training.state import Setting

        usual = Setting(threads, device=choose_device(self.options.device))
        plan = self._plan(data, num_classes, usual, draft)
        trial = plan.trial
        setting = usual._replace(
            precision=trial.precision, channels_last=trial.channels_last, threads=trial.threads, judged=trial.judged
        )
        same = identity(data.recipe, setting, data.fingerprint, self._code(num_classes))
        folder = draft.checkpoints(self.name if self.number == 1 else f"{self.name}-member{self.number}")
        return train(
            lambda: self._build(num_classes), data.recipe, setting, data.inputs, fit=data.fit,
            choose=data.judged, track=_Told(track, f"of {self._called} ({plan.words})"),
            checkpoints=Checkpoints(folder, data.recipe, same),
        )  # fmt: skip

    def _fitted(self, trained: "Trained", data: "TrainingData", task: Task, start: float) -> Fitted:
        """What came of it; its probabilities are those of the graph that users get."""
        from ..runtime.graph import classifier_graph

        judge = "the `val` split" if task.val.any() else "a tenth of `train`, held out by hash"
        learnt = f"; it learnt the labels and what `{self.options.teacher}` says" if task.taught else ""
        network = self.start.whole(trained.network, task.num_classes)
        graph = classifier_graph(network, data.preprocessing).SerializeToString(deterministic=True)
        session = FrozenNetwork(graph)
        notes = (*data.notes, *trained.notes, *_told(trained, self.recipe.epochs))
        return Fitted(
            choice_probs=trained.probs[task.compare[data.choose]],
            judged=Judged(judge, task.labels[data.choose], trained.probs),
            how_chosen=f"epoch {trained.best_epoch} of {len(trained.history)} by {judge}{learnt}",
            cross_validation=None,
            history=tuple(Step(**row._asdict()) for row in trained.history),
            arguments=self.start.arguments,
            rear=self.start.rear,
            preprocessing=data.preprocessing,
            probs=lambda measured: _run(session, measured),
            fitted_on=data.learn,
            taught_by=task.taught.by if task.taught else (),
            artefacts=lambda: (self._serialised(network), graph),
            pieces=self.start.pieces(task.num_classes),
            seconds=time.monotonic() - start,
            notes=tuple(f"{self._called}: {note}" for note in notes),
        )

    def _build(self, num_classes: int) -> "nn.Module":
        """The part that is trained, with the numbers that it starts from."""
        network = self.start.network(num_classes)
        self.start.begin(network)
        return self.start.trained(network)

    def _code(self, num_classes: int) -> str:
        """Hash of that of the user's layers; empty without any."""
        if self.start.rear is None:
            return ""
        return code_of(self.start.rear[0], self.start.sketched(num_classes).get_submodule("head"))

    def _serialised(self, network: "nn.Module") -> bytes:
        """The weights as safetensors; with a rear of the user's they are of no network that we have a name for."""
        state = network.state_dict()
        if self.start.rear is None:
            return serialise({name: t.numpy() for name, t in state.items()}, self.network, self.start.arguments)
        from safetensors.torch import save  # which knows types that numpy does not have

        blob: bytes = save({name: tensor.contiguous().clone() for name, tensor in state.items()})
        return blob

    def _plan(self, data: "TrainingData", num_classes: int, usual: "Setting", draft: Draft) -> "Plan":
        """What a training will take; measured once a run, for all its members."""
        from ..training.plan import make_plan

        plans: dict[str, Any] = draft.record.get("training", {})
        memory = self.memory(self.recipe, self.preprocessing.resolution, len(data.learn), num_classes)
        plan = make_plan(
            lambda: self._build(num_classes), data.recipe, data.inputs, data.fit,
            memory_bytes=memory.on(usual.device), usual=usual, known=plans.get(self.name),
        )  # fmt: skip
        if self.name not in plans:
            draft.note("training", plans | {self.name: plan.to_json()})
        return plan


class _Told:
    """Progress with more words."""

    def __init__(self, track: Track, words: str) -> None:
        self.track, self.words = track, words

    def __call__(self, items: Iterable[T], total: int, what: str) -> Iterable[T]:
        return self.track(items, total, f"{what} {self.words}")


def _told(trained: "Trained", epochs: int) -> tuple[str, ...]:
    """Why training ended before its last epoch, where it did."""
    if not trained.stopped:
        return ()
    if trained.stopped.startswith("training diverged"):
        return (f"{trained.stopped}; the weights of epoch {trained.best_epoch} are kept, a lower lr would go further",)
    return (f"training stopped after {len(trained.history)} of {epochs} epochs: {trained.stopped}",)


def _run(session: FrozenNetwork, pixels: NDArray[np.uint8]) -> Floats:
    """Probabilities (n, K) of prepared pixels."""
    chunks = [session.run(pixels[i : i + 64], ["logits"])[0] for i in range(0, len(pixels), 64)]
    return softmax(np.concatenate(chunks))

"""A network trained from random weights."""

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .. import networks
from ..cost import Totals, sketch
from ..data.preprocessing import Preprocessing
from ..data.reduction import Reduction
from ..data.samples import Listing
from ..errors import DivergedError, UsageError
from ..metrics import softmax
from ..progress import Track
from ..runtime.jobs import Job, pixels_job
from ..runtime.prepared import prepared_job
from ..runtime.session import FrozenNetwork
from ..training.recipe import UNCHANGED, Recipe
from ..weights import serialise
from .draft import Draft
from .options import Options
from .task import Fitted, Floats, Judged, Step, Task, sketched_cost

if TYPE_CHECKING:
    from torch import nn

    from ..training.loop import Trained
    from ..training.memory import Memory
    from ..training.plan import Plan
    from ..training.state import Setting
    from .training_data import TrainingData

T = TypeVar("T")


class ScratchCandidate:
    """A network trained from random weights."""

    transfer = "none"
    weights = None

    def __init__(self, network: str, options: Options) -> None:
        entry = networks.describe(network)
        self.network, self.options = network, options
        size, channels = options.resolution or entry.resolution, entry.channels
        self.preprocessing = Preprocessing(
            channels=channels, resolution=size, crop=1.0, mean=(127.5,) * channels, std=(127.5,) * channels
        )
        self.arguments = networks.fitted_to(network, size)
        self.recipe = options.recipe_of(network)
        networks.input_shape(network, self.arguments, size)
        self.cost(2)  # a resolution that it cannot have is said before a file is read

    def jobs(self, listing: Listing) -> list[Job]:
        """Pixels; and whole images, where training shows other parts of them."""
        jobs = [pixels_job(self.preprocessing)]
        if self.recipe.augmentation != UNCHANGED:
            jobs.append(prepared_job(listing, Reduction.for_training(self.preprocessing)))
        return jobs

    def cost(self, num_classes: int) -> Totals:
        """Counted on the network itself."""
        return sketched_cost(self.network, num_classes, self.arguments, self.preprocessing).totals

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

        arguments = networks.fitted_to(self.network, resolution)
        with sketch():
            network = self._build(num_classes, arguments)
        return training_memory(network, recipe, networks.input_shape(self.network, arguments, resolution), images)

    def _smaller(self) -> Iterator[int]:
        """Halves of the resolution, down to the smallest that the network takes."""
        size = self.preprocessing.resolution
        while (size := size // 2) > 0:
            try:
                networks.input_shape(self.network, networks.fitted_to(self.network, size), size)
            except UsageError:
                return
            yield size

    def prepare(self, track: Track) -> None:
        """Nothing is needed."""

    def frozen(self) -> FrozenNetwork:
        """The network as it is before training."""
        from ..runtime.graph import export_graph

        network = networks.create(self.network, 2, self.arguments)
        return FrozenNetwork(export_graph(network, self.preprocessing, ["logits"]).SerializeToString())

    def fit(self, rows: Sequence[Any], task: Task, draft: Draft, *, threads: int, track: Track) -> Fitted:
        """Train; `val`, or the tenth of `train` held out by hash, chooses the epoch.

        Raises:
            DivergedError: it came to no weights.
        """
        from .training_data import training_data

        start = time.monotonic()
        data = training_data(rows, task, self.recipe, self.preprocessing, threads=threads)
        try:
            trained = self._train(data, task.num_classes, draft, threads=threads, track=track)
        except DivergedError as error:
            raise DivergedError(f"{self.network}: {error}") from error
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
        setting = usual._replace(precision=trial.precision, channels_last=trial.channels_last, threads=trial.threads)
        same = identity(self.recipe, setting, data.fingerprint)
        return train(
            lambda: self._build(num_classes, self.arguments), self.recipe, setting, data.preprocessing, fit=data.fit,
            choose=data.judged, track=_Told(track, f"of {self.network} ({plan.words})"),
            checkpoints=Checkpoints(draft.checkpoints(self.network), self.recipe, same),
        )  # fmt: skip

    def _fitted(self, trained: "Trained", data: "TrainingData", task: Task, start: float) -> Fitted:
        """What came of it; its probabilities are those of the graph that users get."""
        from ..runtime.graph import classifier_graph

        judge = "the `val` split" if task.val.any() else "a tenth of `train`, held out by hash"
        network = self._without_aux(trained.network, task.num_classes)
        graph = classifier_graph(network, data.preprocessing).SerializeToString(deterministic=True)
        session = FrozenNetwork(graph)
        notes = (*data.notes, *trained.notes, *_told(trained, self.recipe.epochs))
        state = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
        return Fitted(
            choice_probs=trained.probs[task.compare[data.choose]],
            judged=Judged(judge, task.labels[data.choose], trained.probs),
            how_chosen=f"epoch {trained.best_epoch} of {len(trained.history)} by {judge}",
            cross_validation=None,
            history=tuple(Step(**row._asdict()) for row in trained.history),
            arguments=self.arguments,
            preprocessing=data.preprocessing,
            probs=lambda measured: _run(session, measured),
            fitted_on=data.learn,
            artefacts=lambda: (serialise(state, self.network, self.arguments), graph),
            seconds=time.monotonic() - start,
            notes=tuple(f"{self.network}: {note}" for note in notes),
        )

    def _build(self, num_classes: int, arguments: dict[str, Any]) -> "nn.Module":
        """The network as it is trained: with its auxiliary heads, where it has some and the recipe listens to them."""
        with_aux = "aux" in networks.describe(self.network).arguments and self.recipe.aux_weight > 0
        return networks.create(self.network, num_classes, arguments | ({"aux": True} if with_aux else {}))

    def _without_aux(self, trained: "nn.Module", num_classes: int) -> "nn.Module":
        """The network as it is kept."""
        network, state = networks.create(self.network, num_classes, self.arguments), trained.state_dict()
        network.load_state_dict({name: state[name] for name in network.state_dict()})
        return network.eval()

    def _plan(self, data: "TrainingData", num_classes: int, usual: "Setting", draft: Draft) -> "Plan":
        """What a training will take; measured once a run."""
        from ..training.plan import make_plan

        plans: dict[str, Any] = draft.record.get("training", {})
        memory = self.memory(self.recipe, self.preprocessing.resolution, len(data.learn), num_classes)
        plan = make_plan(
            lambda: self._build(num_classes, self.arguments), self.recipe, data.preprocessing, data.fit,
            memory_bytes=memory.on(usual.device), usual=usual, known=plans.get(self.network),
        )  # fmt: skip
        if self.network not in plans:
            draft.note("training", plans | {self.network: plan.to_json()})
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

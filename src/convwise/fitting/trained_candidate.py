"""A network that is trained, in part or as a whole."""

import copy
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from .. import networks
from ..cost import Totals, analyze, sketch
from ..data.reduction import Reduction
from ..data.samples import Listing
from ..errors import DivergedError, UsageError
from ..guest import guarding
from ..networks.drawing import drawn_apart
from ..progress import Track
from ..runtime.jobs import Job, pixels_job
from ..runtime.prepared import prepared_job
from ..runtime.session import FrozenNetwork
from ..training.recipe import UNCHANGED, Recipe
from ..weights import Used
from .draft import Draft
from .options import Options
from .start import Start
from .task import Fitted, Task
from .trial_export import check_export

if TYPE_CHECKING:
    from torch import nn

    from ..training.memory import Memory


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

    def unmirrored(self) -> "TrainedCandidate":
        """The same training of images that are not mirrored."""
        return self._by(replace(self.recipe, augmentation=replace(self.recipe.augmentation, mirror=0.0)))

    @property
    def called(self) -> str:
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
            with drawn_apart():
                network = self.start.network(2)
            check_export(self.start.rear[0], network, self.preprocessing)

    def frozen(self) -> FrozenNetwork:
        """The network as it is before training."""
        from ..runtime.graph import export_graph

        with drawn_apart():
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
        from .trained import fitted
        from .training_run import TrainingRun

        begun = time.monotonic()
        data = self.start.data(rows, task, threads=threads, track=track)
        memory = self.memory(self.recipe, self.preprocessing.resolution, len(data.learn), task.num_classes)
        training = TrainingRun(self.start, self.called, self.name, self.number, memory)
        try:
            with self._guarded():
                trained = training.run(
                    data, task.num_classes, draft, device=self.options.device, threads=threads, track=track
                )
        except DivergedError as error:
            raise DivergedError(f"{self.called}: {error}") from error
        with self._guarded():
            found = fitted(trained, data, self.start, task, by=self.options.teacher)
        notes = tuple(f"{self.called}: {note}" for note in found.notes)
        return replace(found, notes=notes, seconds=time.monotonic() - begun)

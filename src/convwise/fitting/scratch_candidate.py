"""A network trained from random weights."""

import math
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import networks
from ..cost import Totals, sketch
from ..data.preprocessing import Preprocessing
from ..errors import DataError, UsageError
from ..machine import has_memory, too_little_memory
from ..metrics import softmax
from ..progress import Track
from ..runtime.gather import Job, pixels_job
from ..runtime.session import FrozenNetwork
from ..weights import serialise
from .options import Options
from .task import Fitted, Floats, Judged, Mask, Step, Task, sketched_cost

if TYPE_CHECKING:
    from ..training.loop import Recipe, Trained


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
        networks.input_shape(network, self.arguments, size)
        self.cost(2)  # a resolution that it cannot have is said before a file is read

    def job(self) -> Job:
        """Pixels."""
        return pixels_job(self.preprocessing)

    def cost(self, num_classes: int) -> Totals:
        """Counted on the network itself."""
        return sketched_cost(self.network, num_classes, self.arguments, self.preprocessing).totals

    def check_memory(self, images: int, num_classes: int) -> None:
        """Refuse a training that this machine has no memory for.

        Args:
            images: of the data.
            num_classes: of the data.

        Raises:
            MachineError: it has not.
        """
        size, needed = self.preprocessing.resolution, self._memory(self.preprocessing.resolution, images, num_classes)
        if has_memory(needed):
            return
        fitting = next((s for s in self._smaller() if has_memory(self._memory(s, images, num_classes))), None)
        raise too_little_memory(
            f"training {self.network} at {size} px", needed,
            f"--resolution {fitting} would fit" if fitting else "take another network",
        )  # fmt: skip

    def _memory(self, size: int, images: int, num_classes: int) -> int:
        """Bytes that training takes at a resolution, about."""
        from ..training.loop import Recipe
        from ..training.saved import bytes_per_image

        arguments = networks.fitted_to(self.network, size)
        with sketch():
            network = networks.create(self.network, num_classes, arguments)
        pixels = replace(self.preprocessing, resolution=size).shape
        weights = sum(4 * p.numel() for p in network.parameters())
        step = bytes_per_image(network, networks.input_shape(self.network, arguments, size))
        # pixels as gathered and as torch has them; gradients, momentum and the best epoch's weights beside the weights
        return 2 * images * math.prod(pixels) + 4 * weights + min(images, Recipe.batch) * step

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

    def fit(self, rows: NDArray[Any], task: Task, *, threads: int, track: Track) -> Fitted:
        """Train; `val`, or the tenth of `train` held out by hash, chooses the epoch."""
        import torch

        from ..runtime.graph import classifier_graph
        from ..training.loop import Images, Recipe, train

        start = time.monotonic()
        learn = task.train & ~task.held_out
        if learn.sum() < 2:
            raise DataError("training from scratch needs two images or more to learn from; add images to `train`")
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
            judged=Judged(judge, task.labels[choose], trained.probs),
            how_chosen=f"epoch {best.epoch} of {len(trained.history)} by {judge}",
            cross_validation=None,
            history=tuple(
                Step(h.epoch, None, h.train_nll, h.choice_nll, h.choice_top1, h.seconds) for h in trained.history
            ),
            arguments=self.arguments,
            preprocessing=preprocessing,
            probs=lambda measured: _run(session, measured),
            fitted_on=learn,
            artefacts=lambda: (serialise(state, self.network, self.arguments), graph),
            seconds=time.monotonic() - start,
            notes=tuple(f"{self.network}: {note}" for note in _told(trained, recipe)),
        )


def _told(trained: "Trained", recipe: "Recipe") -> tuple[str, ...]:
    """Why training ended before its last epoch, where it did."""
    run = len(trained.history)
    if run == recipe.epochs:
        return ()
    diverged = not math.isfinite(trained.history[-1].train_nll)
    why = "the loss is no number" if diverged else f"the time limit of {recipe.time_limit:g} s is over"
    return (f"training stopped after {run} of {recipe.epochs} epochs: {why}",)


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


def _run(session: FrozenNetwork, pixels: NDArray[np.uint8]) -> Floats:
    """Probabilities (n, K) of prepared pixels."""
    chunks = [session.run(pixels[i : i + 64], ["logits"])[0] for i in range(0, len(pixels), 64)]
    return softmax(np.concatenate(chunks))

"""A training that starts from random weights."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .. import networks
from ..cost import sketch
from ..networks.drawing import drawn_apart
from ..progress import Track
from ..training.recipes import preprocessing_for
from ..transfer.pieces import Piece
from .options import Options
from .task import Task

if TYPE_CHECKING:
    from torch import nn

    from .training_data import TrainingData


class FromScratch:
    """All weights random."""

    transfer = "none"
    weights = None
    rear = None

    def __init__(self, network: str, options: Options) -> None:
        self.name = network
        self.preprocessing = preprocessing_for(network, options.resolution)
        size = self.preprocessing.resolution
        self.arguments = networks.fitted_to(network, size)
        self.recipe = options.recipe_of(network)
        networks.input_shape(network, self.arguments, size)  # says so where it is too small

    def prepare(self, track: Track) -> None:
        """Nothing is needed."""

    def network(self, num_classes: int, resolution: int | None = None) -> "nn.Module":
        """With its auxiliary heads, where it has some and the recipe listens to them."""
        with_aux = "aux" in networks.describe(self.name).arguments and self.recipe.auxiliary > 0
        arguments = networks.fitted_to(self.name, resolution) if resolution else self.arguments
        return networks.create(self.name, num_classes, arguments | ({"aux": True} if with_aux else {}))

    def sketched(self, num_classes: int, resolution: int | None = None) -> "nn.Module":
        """Without numbers."""
        with sketch():
            return self.network(num_classes, resolution)

    def begin(self, network: "nn.Module") -> None:
        """All are drawn."""

    def trained(self, network: "nn.Module") -> "nn.Module":
        """All of it."""
        return network

    def input_shape(self, network: "nn.Module", resolution: int) -> tuple[int, int, int]:  # noqa: ARG002
        """That of an image."""
        return networks.input_shape(self.name, networks.fitted_to(self.name, resolution), resolution)

    def held(self, images: int, shape: tuple[int, int, int], resolution: int) -> int:  # noqa: ARG002
        """Each image twice, as gathered and as torch has it."""
        return 2 * images * math.prod(shape)

    def data(self, rows: Sequence[Any], task: Task, *, threads: int, track: Track) -> "TrainingData":  # noqa: ARG002
        """Pixels, normalised by their own mean and deviation."""
        from .training_data import training_data

        return training_data(rows, task, self.recipe, self.preprocessing, threads=threads)

    def whole(self, trained: "nn.Module", num_classes: int) -> "nn.Module":
        """Without auxiliary heads."""
        with drawn_apart():
            network, state = networks.create(self.name, num_classes, self.arguments), trained.state_dict()
        network.load_state_dict({name: state[name] for name in network.state_dict()})
        return network.eval()

    def pieces(self, num_classes: int) -> tuple[Piece, ...]:  # noqa: ARG002
        """Everything is new, which needs no table."""
        return ()

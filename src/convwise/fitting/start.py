"""Where a training starts: what is asked of every start."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ..data.preprocessing import Preprocessing
from ..progress import Track
from ..training.recipe import Recipe
from ..transfer.pieces import Piece
from ..weights import Used
from .task import Task

if TYPE_CHECKING:
    from torch import nn

    from .training_data import TrainingData


class Start(Protocol):
    """Where the weights of a training come from, which of them it moves, and what it is fed.

    Attributes:
        transfer: how, in the words of the option.
        name: of the network in `convwise.networks`.
        preprocessing: of the evaluation; its mean and std may still change.
        arguments: of the network's builder.
        recipe: of the training.
        rear: `module:builder` of the user's own layers, and the cut behind which they stand; None for none.
    """

    transfer: str
    name: str
    preprocessing: Preprocessing
    arguments: dict[str, Any]
    recipe: Recipe

    @property
    def rear(self) -> tuple[str, str] | None:
        """The user's own layers."""
        ...

    @property
    def weights(self) -> Used | None:
        """The published weights; known after `prepare`."""
        ...

    def prepare(self, track: Track) -> None:
        """Load the weights."""
        ...

    def network(self, num_classes: int, resolution: int | None = None) -> "nn.Module":
        """The network, drawing from torch's generator, as training needs it."""
        ...

    def sketched(self, num_classes: int, resolution: int | None = None) -> "nn.Module":
        """The same, without numbers where that can be."""
        ...

    def begin(self, network: "nn.Module") -> None:
        """Put the numbers into it that are not drawn."""
        ...

    def trained(self, network: "nn.Module") -> "nn.Module":
        """The part of it that is trained."""
        ...

    def input_shape(self, network: "nn.Module", resolution: int) -> tuple[int, int, int]:
        """Shape (C, H, W) of what that part takes of one image."""
        ...

    def held(self, images: int, shape: tuple[int, int, int], resolution: int) -> int:
        """Bytes that lie in memory of n images, whose inputs to that part have this shape."""
        ...

    def data(self, rows: Sequence[Any], task: Task, *, threads: int, track: Track) -> "TrainingData":
        """What the training is given."""
        ...

    def whole(self, trained: "nn.Module", num_classes: int) -> "nn.Module":
        """The network as it is kept, in evaluation mode, with what was trained."""
        ...

    def pieces(self, num_classes: int) -> tuple[Piece, ...]:
        """What happens to each part of the network."""
        ...

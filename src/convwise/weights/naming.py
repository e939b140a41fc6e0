"""How the names of tensors in published files map onto ours, both ways: what all publishers have in common."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ..errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

COUNTER = "num_batches_tracked"  # of batch norm


class Naming(NamedTuple):
    """How a publisher names the layers of a network.

    Attributes:
        layers: our layers, in the order of the network -> our layer: theirs; unknown ones are left out.
        kernels: side of the kernel of those of their layers that are convolutions where ours are linear.
        optional: beginnings of their names that a network may do without.
    """

    layers: Callable[[Sequence[str]], dict[str, str]]
    kernels: Mapping[str, int] = {}
    optional: tuple[str, ...] = ()

    def table(self, names: Iterable[str]) -> dict[str, str]:
        """Our names of tensors, in the order of the network -> their name: ours."""
        split = [name.rpartition(".") for name in names]
        theirs = self.layers(list(dict.fromkeys(layer for layer, _, _ in split)))
        return {f"{theirs[layer]}.{leaf}": f"{layer}.{leaf}" for layer, _, leaf in split if layer in theirs}

    def to_ours(self, state: "Mapping[str, Tensor]", names: Iterable[str], what: str) -> "dict[str, Tensor]":
        """Rename every tensor of their state dict to our name; tensors whose shape is ours stay the same objects.

        Args:
            state: theirs.
            names: of all tensors of our network, in its order.
            what: the file, for messages.

        Raises:
            DataError: a name is missing or unknown.
        """
        table = self.table(names)
        state = self.completed(state, table)
        check_names(state, table, what)
        return {table[name]: self._linear(name, tensor) for name, tensor in state.items()}

    def to_theirs(self, state: "Mapping[str, Tensor]", names: Iterable[str], what: str) -> "dict[str, Tensor]":
        """Rename every tensor of our state dict to their name; the inverse of `to_ours`.

        Raises:
            DataError: a name is missing or unknown.
        """
        back = {ours: theirs for theirs, ours in self.table(names).items()}
        check_names(state, back, what)
        return {back[name]: self._kernel(back[name], tensor) for name, tensor in state.items()}

    def completed(self, state: "Mapping[str, Tensor]", table: Mapping[str, str]) -> "dict[str, Tensor]":
        """Leave out what the network does without, and add the counters that older files do not have, as torch does."""
        import torch

        state = {name: state[name] for name in state if name in table or not name.startswith(self.optional)}
        missing = [name for name in table if name.endswith(f".{COUNTER}") and name not in state]
        return {**state, **{name: torch.tensor(0) for name in missing}}

    def _linear(self, theirs: str, tensor: "Tensor") -> "Tensor":
        layer, _, leaf = theirs.rpartition(".")
        return tensor.flatten(1) if layer in self.kernels and leaf == "weight" and tensor.dim() == 4 else tensor

    def _kernel(self, theirs: str, tensor: "Tensor") -> "Tensor":
        layer, _, leaf = theirs.rpartition(".")
        if layer not in self.kernels or leaf != "weight":
            return tensor
        side = self.kernels[layer]
        return tensor.reshape(tensor.shape[0], -1, side, side)


def check_names(state: Mapping[str, object], names: Iterable[str], what: str) -> None:
    """Hold the names of tensors to those that are wanted.

    Raises:
        DataError: a name is missing or unknown.
    """
    if found := differences(state, names):
        raise DataError(f"{what} do not fit: {'; '.join(found)}")


def differences(state: Mapping[str, object], names: Iterable[str]) -> list[str]:
    """What is wrong with the names of tensors, in words; nothing where they are those that are wanted."""
    wanted = set(names)
    kinds = (("missing", wanted - state.keys()), ("unknown", state.keys() - wanted))
    return [f"{kind} {few(sorted(keys))}" for kind, keys in kinds if keys]


def few(words: Collection[str]) -> str:
    """The first three, and how many more there are."""
    more = len(words) - 3
    return ", ".join(list(words)[:3]) + (f" and {more} more" if more > 0 else "")


def numbers(layers: Iterable[str]) -> dict[tuple[str, str], int]:
    """Number the blocks (stage, block) of `stages` through."""
    places = dict.fromkeys(tuple(layer.split(".")[1:3]) for layer in layers if layer.startswith("stages."))
    return {(stage, block): number for number, (stage, block) in enumerate(places)}


def each(theirs: Callable[[list[str]], str | None]) -> Callable[[Sequence[str]], dict[str, str]]:
    """Make `Naming.layers` of a rule that looks at one layer, given as the parts of its name, at a time."""

    def layers(ours: Sequence[str]) -> dict[str, str]:
        return {layer: name for layer in ours if (name := theirs(layer.split("."))) is not None}

    return layers

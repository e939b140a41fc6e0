"""Tensors under our names -> a network that has them."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from .. import networks
from ..errors import DataError, UsageError

if TYPE_CHECKING:
    from torch import Tensor, nn


def blank(name: str, arguments: Mapping[str, object], num_classes: int | None = None) -> "nn.Module":
    """Build a network without memory for its tensors: names and shapes alone."""
    import torch

    with torch.device("meta"):
        return networks.create(name, num_classes, arguments)


def classes_of(network: "nn.Module", state: "Mapping[str, Tensor] | None" = None) -> int | None:
    """Number of classes of a network, or of a state dict for it; None where its last layer does not show it."""
    state = network.state_dict() if state is None else state
    last = networks.parts(network)[-1][1]
    layer = next(name for name, module in network.named_modules() if module is last)
    rows = [state[key].shape[:1] for key in network.state_dict() if key.startswith(f"{layer}.") and key in state]
    return (rows[-1][0] or None) if rows and rows[-1] else None


def fill(name: str, arguments: Mapping[str, object], state: "Mapping[str, Tensor]", what: str) -> "nn.Module":
    """Build a network for as many classes as the state dict has, which takes over its tensors.

    Where `arguments` ask for one input channel, the first kernel is summed over its channels.

    Raises:
        UsageError: the state dict is of another number of input channels.
        DataError: a tensor has another shape.
    """
    network = blank(name, arguments, classes_of(blank(name, arguments), state))
    wanted = network.state_dict()
    first = first_kernel(network)
    own = {**state, first: _over_channels(state[first], wanted[first].shape[1], what)}
    if wrong := other_shapes(own, wanted, wanted):
        raise DataError(f"{what} do not fit {name}: {len(wrong)} tensors have another shape, first {wrong[0]}")
    network.load_state_dict(own, assign=True)
    return network


def first_kernel(network: "nn.Module") -> str:
    """Name of the kernel that sees the image."""
    from torch import nn

    return next(f"{name}.weight" for name, module in network.named_modules() if isinstance(module, nn.Conv2d))


def other_shapes(state: "Mapping[str, Tensor]", wanted: "Mapping[str, Tensor]", names: Iterable[str]) -> list[str]:
    """Those of the tensors `names` that have another shape than wanted, in words."""

    def size(tensor: "Tensor") -> str:
        return " x ".join(map(str, tensor.shape)) or "one number"

    return [
        f"{name}: {size(state[name])}, expected {size(wanted[name])}"
        for name in names
        if state[name].shape != wanted[name].shape
    ]


def _over_channels(kernel: "Tensor", channels: int, what: str) -> "Tensor":
    """(out, C, k, k) -> (out, channels, k, k)."""
    if kernel.dim() != 4 or kernel.shape[1] == channels:
        return kernel
    if channels != 1:
        allowed = "1" if kernel.shape[1] == 1 else f"{kernel.shape[1]} or 1"
        raise UsageError(
            f"in_channels must be {allowed} with {what}, got {channels}; a network for other channels is "
            "trained from scratch: leave weights out"
        )
    return kernel.sum(1, keepdim=True)

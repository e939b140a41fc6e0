"""Tensors under our names -> a network that has them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .. import networks
from ..errors import DataError, UsageError
from .naming import few

if TYPE_CHECKING:
    from torch import Tensor, nn


def blank(name: str, arguments: Mapping[str, object]) -> "nn.Module":
    """Build a network without memory for its tensors: names and shapes alone."""
    import torch

    with torch.device("meta"):
        return networks.create(name, None, arguments)


def sized(name: str, arguments: Mapping[str, object], state: "Mapping[str, Tensor]") -> "nn.Module":
    """The same, for as many classes as a state dict has."""
    network = blank(name, arguments)
    if num_classes := classes_of(network, state):
        networks.replace_head(network, num_classes)
    return network


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
    network = sized(name, arguments, state)
    if wrong := other_shapes(state, network):
        raise DataError(f"{what} do not fit {name}: {few([f'{key} is {shape}' for key, shape in wrong.items()])}")
    first = _first_kernel(network)
    kernel = _over_channels(state[first], network.state_dict()[first].shape[1], what)
    network.load_state_dict({**state, first: kernel}, assign=True)
    return network


def other_shapes(state: "Mapping[str, Tensor]", network: "nn.Module") -> dict[str, str]:
    """Tensors of another shape than the network's, and both shapes in words; the channels of an image may differ."""
    first = _first_kernel(network)

    def outline(name: str, tensor: "Tensor") -> "tuple[int, ...]":
        return (*tensor.shape[:1], *tensor.shape[2:]) if name == first else tuple(tensor.shape)

    def size(tensor: "Tensor") -> str:
        return " x ".join(map(str, tensor.shape)) or "one number"

    return {
        name: f"{size(state[name])}, not {size(wanted)}"
        for name, wanted in network.state_dict().items()
        if outline(name, state[name]) != outline(name, wanted)
    }


def _first_kernel(network: "nn.Module") -> str:
    """Name of the kernel that sees the image."""
    from torch import nn

    return next(f"{name}.weight" for name, module in network.named_modules() if isinstance(module, nn.Conv2d))


def _over_channels(kernel: "Tensor", channels: int, what: str) -> "Tensor":
    """(out, C, k, k) -> (out, channels, k, k)."""
    if kernel.shape[1] == channels:
        return kernel
    if channels != 1:
        allowed = "1" if kernel.shape[1] == 1 else f"{kernel.shape[1]} or 1"
        raise UsageError(
            f"in_channels must be {allowed} with {what}, got {channels}; a network for other channels is "
            "trained from scratch: leave weights out"
        )
    return kernel.sum(1, keepdim=True)

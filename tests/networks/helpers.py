"""What the tests of networks share: networks without memory for their weights, and what can be seen of them."""

from functools import cache

import pytest
import torch
from torch import Tensor, nn

from convwise import networks

meta_network = pytest.mark.parametrize("name", networks.names())


@cache
def on_meta(name: str, num_classes: int | None = None) -> nn.Module:
    """The network without memory for its weights; a test leaves it as it was."""
    with torch.device("meta"):
        return networks.create(name, num_classes).eval()


def image(side: int, channels: int = 3) -> Tensor:
    """Without memory for its pixels."""
    return torch.empty(1, channels, side, side, device="meta")


def outputs(network: nn.Module, x: Tensor, *kinds: type[nn.Module]) -> list[tuple[int, ...]]:
    """Shapes (C, H, W) that the modules of these kinds give, in order."""
    seen: list[tuple[int, ...]] = []

    def note(_module: nn.Module, _inputs: object, y: Tensor) -> None:
        seen.append(tuple(y.shape[1:]))

    for module in network.modules():
        if isinstance(module, kinds):
            module.register_forward_hook(note)
    network(x)
    return seen


def output_shapes(network: nn.Module, side: int) -> list[tuple[int, ...]]:
    """(C, H, W) behind the stem and behind each stage."""
    shapes: list[tuple[int, ...]] = []
    for part in (network.get_submodule("stem"), *network.get_submodule("stages").children()):
        part.register_forward_hook(lambda _module, _inputs, output: shapes.append(tuple(output.shape[1:])))
    network(torch.empty(1, 3, side, side, device="meta"))
    return shapes


def params(module: nn.Module) -> int:
    """Learnable numbers."""
    return sum(p.numel() for p in module.parameters())


def shaken(network: nn.Module) -> nn.Module:
    """The network in float64 and eval mode, its batch norms with random statistics."""
    for m in network.modules():
        if isinstance(m, nn.BatchNorm2d):
            for tensor in (m.weight, m.bias, m.running_mean, m.running_var):
                assert tensor is not None
                nn.init.uniform_(tensor, 0.5, 1.5)
    return network.double().eval()

"""bfloat16 where it pays: in products, but not in weights and statistics, nor in depthwise convolutions on a CPU."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@contextmanager
def products_in(precision: str, device: str) -> Iterator[None]:
    """Run a forward pass in "float32" or "bfloat16"; once a pass, since inside torch keeps copies of weights."""
    with torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16"):
        yield


def spare_depthwise(network: nn.Module) -> None:
    """Let depthwise convolutions work in float32 inside `products_in("bfloat16")`, and hand on bfloat16.

    torch's gradient of their weights is several times slower in bfloat16 than in float32 on a CPU.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1:
            detour = _Detour()
            module.register_forward_pre_hook(detour.enter)
            module.register_forward_hook(detour.leave, always_call=True)


class _Detour:
    """Hooks that switch bfloat16 off for one module."""

    def __init__(self) -> None:
        self.taken = False

    def enter(self, _module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        self.taken = torch.is_autocast_enabled("cpu")
        if not self.taken:
            return inputs
        torch.set_autocast_enabled("cpu", False)
        return tuple(x.float() for x in inputs)

    def leave(self, _module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor | None) -> Tensor | None:
        if not self.taken:
            return output
        torch.set_autocast_enabled("cpu", True)
        return None if output is None else output.bfloat16()

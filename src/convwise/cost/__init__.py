"""What a network costs, counted exactly."""

import copy
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch import nn


class CostReport(NamedTuple):
    """Totals for one image at inference.

    Attributes:
        params: learnable numbers, buffers excluded.
        macs: multiply-accumulates of convolutions and linear layers.
        weight_bytes: of the learnable numbers, as stored.
    """

    params: int
    macs: int
    weight_bytes: int


def analyze(module: "nn.Module", input_shape: tuple[int, ...]) -> CostReport:
    """Count a module during one forward pass of zeros, in evaluation mode, on a copy.

    Each output of a convolution or linear layer takes as many multiply-accumulates as its filter has weights. Matrix
    products outside such layers are not counted. No dispatch mode and no meta device is used: either would import
    torch's compiler, more than a second for a pass of 30 milliseconds.

    Args:
        module: any network on the CPU.
        input_shape: (C, H, W) of one image.
    """
    import torch
    from torch import nn

    macs = 0

    def count(layer: nn.Module, _inputs: Any, output: torch.Tensor) -> None:
        nonlocal macs
        assert isinstance(layer.weight, torch.Tensor)
        macs += output.numel() * layer.weight[0].numel()

    kinds = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
    copied = copy.deepcopy(module).eval()
    for layer in copied.modules():
        if isinstance(layer, kinds):
            layer.register_forward_hook(count)
    with torch.no_grad():
        copied(torch.zeros(1, *input_shape))
    parameters = list(module.parameters())
    weight_bytes = sum(p.numel() * p.element_size() for p in parameters)
    return CostReport(sum(p.numel() for p in parameters), macs, weight_bytes)

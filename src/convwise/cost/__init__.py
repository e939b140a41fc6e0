"""What a network costs, counted without running it."""

import copy
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import nn


class CostReport(NamedTuple):
    """Totals for one image at inference.

    Attributes:
        params: learnable numbers, buffers excluded.
        macs: multiply-accumulates of convolutions and matrix products.
        weight_bytes: of the learnable numbers, as stored.
    """

    params: int
    macs: int
    weight_bytes: int


def analyze(module: "nn.Module", input_shape: tuple[int, ...]) -> CostReport:
    """Count a module on the meta device, in evaluation mode; the module itself stays as it is.

    Args:
        module: any network.
        input_shape: (C, H, W) of one image.

    Source: torch.utils.flop_counter, which counts two operations a multiply-accumulate.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    shadow = copy.deepcopy(module).to("meta").eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        shadow(torch.empty(1, *input_shape, device="meta"))
    parameters = list(shadow.parameters())
    weight_bytes = sum(p.numel() * p.element_size() for p in parameters)
    return CostReport(sum(p.numel() for p in parameters), counter.get_total_flops() // 2, weight_bytes)

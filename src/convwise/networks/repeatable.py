"""Layers of torch in a form whose gradient is the same bits each time on a GPU too, where torch's own sums by chance.

Their numbers are torch's to about 1e-7, and so are their names.
"""

from functools import reduce
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class LocalResponseNorm(nn.LocalResponseNorm):
    """torch's, which divides alpha by the number of channels summed; there the gradient goes through a 3-D pooling."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        squares = x.to(torch.promote_types(x.dtype, torch.float32)).square()  # in bfloat16 the sum would drown in k
        sums: Tensor = _SumOfNeighbours.apply(squares, self.size // 2, (self.size - 1) // 2)
        return x * (sums * (self.alpha / self.size) + self.k).pow(-self.beta)


class _SumOfNeighbours(torch.autograd.Function):
    """Of each channel, so many before and so many behind it; its transpose has these two numbers exchanged."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, before: int, behind: int) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        ctx.before, ctx.behind = before, behind
        return _sums(x, before, behind)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """Of the sums -> of x."""
        return _sums(gradient, ctx.behind, ctx.before), None, None


def _sums(x: Tensor, before: int, behind: int) -> Tensor:
    padded = F.pad(x, (0, 0, 0, 0, before, behind))
    return reduce(torch.add, [padded.narrow(1, first, x.shape[1]) for first in range(before + behind + 1)])


class AdaptiveAvgPool2d(nn.AdaptiveAvgPool2d):
    """torch's, to a square; there the gradients of cells that overlap are added in any order.

    Args:
        side: of the output, pixels.
    """

    def __init__(self, side: int) -> None:
        super().__init__(side)
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, side, side)."""
        return _means(_means(x, self.side, 2), self.side, 3)


def _means(x: Tensor, cells: int, axis: int) -> Tensor:
    """Over each of so many cells of an axis, which share a pixel where they do not divide it evenly."""
    side = x.shape[axis]
    if side == cells:
        return x
    bounds = [(i * side // cells, -(-(i + 1) * side // cells)) for i in range(cells)]
    return torch.cat([x.narrow(axis, begin, end - begin).mean(axis, keepdim=True) for begin, end in bounds], axis)

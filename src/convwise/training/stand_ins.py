"""What stands in for functions of torch in a forward pass on a CPU: the same numbers, gradients by quick kernels."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.grad import conv2d_input, conv2d_weight
from torch.overrides import TorchFunctionMode

KERNELS = 1  # raise it when gradients' bits change: trainings that others began are not gone on with
STRIP = 3  # columns of a depthwise kernel; the gradient of a wider one takes torch 3 to 100 times as long

Pair = tuple[int, int]  # down, across


class StandIns(TorchFunctionMode):
    """While it is on, functions of torch are stood in for, whoever's modules call them."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:  # fmt: skip
        """Call a function of torch, or its stand-in."""
        stand_in: Callable[..., Any] = STAND_INS.get(func, func)
        return stand_in(*args, **kwargs or {})


def convolve(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int | Sequence[int] = 1,  # noqa: A002, torch's
    padding: str | int | Sequence[int] = 0, dilation: int | Sequence[int] = 1, groups: int = 1,
) -> Tensor:  # fmt: skip
    """Convolve as `torch.conv2d`, whose arguments these are; depthwise in another way.

    Under bfloat16, strides and dilations work in float32 and hand on bfloat16: the gradient of their input takes torch
    30 to 100 times as long in bfloat16.
    """
    x = input
    if groups == 1 or x.shape[-3] != groups:
        return torch.conv2d(x, weight, bias, stride, padding, dilation, groups)
    low, dense = torch.is_autocast_enabled("cpu"), _pair(dilation) == (1, 1)
    if low:
        kind = torch.bfloat16 if dense and _pair(stride) == (1, 1) else torch.float32
        x, weight, bias = x.to(kind), weight.to(kind), None if bias is None else bias.to(kind)
    with torch.autocast("cpu", enabled=False):
        if x.ndim == 4 and weight.shape[3] > STRIP and dense and not isinstance(padding, str):
            y: Tensor = _Wide.apply(x, weight, _pair(stride), _pair(padding))
            y = y if bias is None else y + bias[:, None, None]
        else:
            y = torch.conv2d(x, weight, bias, stride, padding, dilation, groups)
    return y.bfloat16() if low else y


class _Wide(torch.autograd.Function):
    """A depthwise convolution whose kernel has more than three columns."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: Pair, padding: Pair) -> Tensor:
        """(B, C, H, W) and (n C, 1, h, w) -> (B, n C, H', W')."""
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return torch.conv2d(x, weight, None, stride, padding, 1, x.shape[1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        """Of the output -> of x and of the weights."""
        x, weight = ctx.saved_tensors
        of_x, of_weight, *_ = ctx.needs_input_grad
        return (
            conv2d_input(x.shape, weight, gradient, ctx.stride, ctx.padding, 1, x.shape[1]) if of_x else None,
            in_strips(x, weight.shape, gradient, ctx.stride, ctx.padding) if of_weight else None,
            None, None,
        )  # fmt: skip


def in_strips(x: Tensor, size: Sequence[int], gradient: Tensor, stride: Pair, padding: Pair) -> Tensor:
    """Gradient of the weights (n C, 1, h, w) of a depthwise convolution, from that of its output (B, n C, H', W').

    A strip of three columns is the whole kernel of a narrower convolution, of those columns of x that it meets. The
    last strip ends where the kernel does; what it shares with the one before it comes out the same.
    """
    weights = gradient.new_empty(size)
    met = (gradient.shape[3] - 1) * stride[1] + STRIP
    for first in (*range(0, size[3] - STRIP, STRIP), size[3] - STRIP):
        left = padding[1] - first  # of zeros; negative: columns of x that are cut off
        seen = F.pad(x, (left, met - left - x.shape[3], padding[0], padding[0]))
        strip = conv2d_weight(seen, (*size[:3], STRIP), gradient, stride, 0, 1, x.shape[1])
        weights[..., first : first + STRIP] = strip
    return weights


def average(input: Tensor, output_size: Any) -> Tensor:  # noqa: A002, torch's
    """Average to cells as `F.adaptive_avg_pool2d`; over whole maps with another gradient."""
    whole = input.ndim == 4 and output_size in (1, (1, 1))
    y: Tensor = _MeanOfMap.apply(input) if whole else F.adaptive_avg_pool2d(input, output_size)
    return y


class _MeanOfMap(torch.autograd.Function):
    """torch's mean, whose gradient is left as one number a map.

    torch writes it out channel by channel. An activation hands that order of memory on to the layers before it, which
    have the other one and take several times as long to read both.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, 1, 1)."""
        ctx.shape = x.shape
        y: Tensor = F.adaptive_avg_pool2d(x, 1)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """(B, C, 1, 1) -> (B, C, H, W)."""
        shape: torch.Size = ctx.shape
        return (gradient / shape[2:].numel()).expand(shape)


STAND_INS: dict[Callable[..., Any], Callable[..., Tensor]] = {
    torch.conv2d: convolve, F.adaptive_avg_pool2d: average
}  # fmt: skip


def _pair(sizes: int | Sequence[int]) -> Pair:
    """Down and across, where one number may stand for both, also in a list of its own."""
    both = [sizes] if isinstance(sizes, int) else sizes
    return both[0], both[-1]

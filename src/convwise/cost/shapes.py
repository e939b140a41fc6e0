"""Shapes of what the commonest operators give back, on the meta device.

torch's own meta kernels know them all; but many are written in Python, take ten times as long, and the first of them
imports torch's compiler, more than a second. So the operators of convolutional networks have rules here, which the
tests hold to torch's; a rule gives NotImplemented for what it does not cover, such as another memory layout, and
`shaped` then asks torch.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from .geometry import times

aten = torch.ops.aten
META = torch.device("meta")
Sides = Sequence[int]
KEYWORDS = {"alpha", "beta", "dtype"}  # of our rules; torch hands over the rest by position


class DoesNotFitError(Exception):
    """A layer cannot take its input; the message says why."""


def shaped(operator: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any], *, pointwise: bool) -> Any:
    """What `operator` gives for meta tensors.

    Raises:
        DoesNotFitError: the tensors do not go together; torch's kernels raise errors of their own.
    """
    result = NotImplemented
    if pointwise:
        result = _pointwise(operator, args, kwargs)
    elif operator in RULES and kwargs.keys() <= KEYWORDS:
        result = RULES[operator](*args, **kwargs)
    return operator(*args, **kwargs) if result is NotImplemented else result


def stand_in(tensor: Tensor) -> Tensor:
    """A tensor of the same shape, strides and type without memory."""
    return torch.empty_strided(tensor.size(), tensor.stride(), dtype=tensor.dtype, device=META)


def _empty(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    return torch.empty(shape, dtype=dtype, device=META)  # empty_like and new_empty are written in Python


def _pointwise(operator: Callable[..., Tensor], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """The common shape of the tensors, and the type that the operator gives for single numbers."""
    tensors = [a for a in args if isinstance(a, Tensor)]
    if not tensors or not all(tensor.is_contiguous() for tensor in tensors):
        return NotImplemented
    ones = [torch.ones((1,) * a.dim(), dtype=a.dtype) if isinstance(a, Tensor) else a for a in args]
    dtype = operator(*ones, **kwargs).dtype
    same = all(tensor.shape == tensors[0].shape for tensor in tensors)
    return _empty(tensors[0].shape if same else torch.broadcast_tensors(*tensors)[0].shape, dtype)


def _convolution(
    x: Tensor, weight: Tensor, _bias: Tensor | None, stride: Sides, padding: Sides, dilation: Sides,
    transposed: bool, output_padding: Sides, groups: int,
) -> Any:  # fmt: skip
    if not (x.is_contiguous() and weight.is_contiguous() and x.dim() == weight.dim()):
        return NotImplemented
    batch, channels, *sides = x.shape
    kernel = weight.shape[2:]
    takes = weight.shape[0] if transposed else weight.shape[1] * groups
    if channels != takes:
        raise DoesNotFitError(f"takes {_channels(takes)}, got {channels}")
    stride, padding, dilation, output_padding = (
        _each(setting, len(sides)) for setting in (stride, padding, dilation, output_padding)
    )
    if transposed:
        every = zip(sides, kernel, stride, padding, dilation, output_padding, strict=True)
        out = [(side - 1) * s - 2 * p + d * (k - 1) + more + 1 for side, k, s, p, d, more in every]
        return _empty((batch, weight.shape[1] * groups, *out), x.dtype)
    out = [_windows(*each) for each in zip(sides, kernel, stride, padding, dilation, strict=True)]
    _check_windows(sides, kernel, padding, dilation, out)
    return _empty((batch, weight.shape[0], *out), x.dtype)


def _channels(count: int) -> str:
    return f"{count} channel{'s' if count > 1 else ''}"


def _windows(side: int, kernel: int, stride: int, padding: int, dilation: int = 1, *, ceil: bool = False) -> int:
    """How many positions a window has on a side; with `ceil` the last may hang over the edge."""
    room = side + 2 * padding - dilation * (kernel - 1) - 1
    count = -(-room // stride) + 1 if ceil else room // stride + 1
    return count - 1 if ceil and (count - 1) * stride >= side + padding else count  # it must start inside


def _check_windows(sides: Sides, kernel: Sides, padding: Sides, dilation: Sides, out: Sides) -> None:
    if min(out) < 1:
        window = times(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
        padded = times(side + 2 * p for side, p in zip(sides, padding, strict=True))
        raise DoesNotFitError(f"its window of {window} is larger than the padded input of {padded}")


def _max_pool(
    x: Tensor, kernel: Sides, stride: Sides = (), padding: Sides = (0,), dilation: Sides = (1,), ceil: bool = False
) -> Any:
    out = _pool(x, 2, (kernel, stride or kernel, padding, dilation), ceil=ceil)
    return out if out is NotImplemented else (out, _empty(out.shape, torch.int64))


def _avg_pool(
    x: Tensor, kernel: Sides, stride: Sides = (), padding: Sides = (0,), ceil: bool = False, *_how: Any, rank: int = 2
) -> Any:
    return _pool(x, rank, (kernel, stride or kernel, padding, (1,)), ceil=ceil)


def _pool(x: Tensor, rank: int, settings: tuple[Sides, Sides, Sides, Sides], *, ceil: bool) -> Any:
    if not x.is_contiguous():
        return NotImplemented
    sides = x.shape[-rank:]
    kernel, stride, padding, dilation = (_each(setting, rank) for setting in settings)
    every = zip(sides, kernel, stride, padding, dilation, strict=True)
    out = [_windows(side, k, s, p, d, ceil=ceil) for side, k, s, p, d in every]
    _check_windows(sides, kernel, padding, dilation, out)
    return _empty((*x.shape[:-rank], *out), x.dtype)


def _each(setting: Sides, rank: int) -> Sides:
    return setting if len(setting) == rank else tuple(setting) * rank


def _adaptive_pool(x: Tensor, sides: Sides) -> Any:
    return _empty((*x.shape[: -len(sides)], *sides), x.dtype) if x.is_contiguous() else NotImplemented


def _reduce(x: Tensor, dims: Sides | None, keep: bool = False, *, dtype: torch.dtype | None = None) -> Any:
    if not dims or not x.is_floating_point():
        return NotImplemented
    gone = {dim % x.dim() for dim in dims}
    shape = [1 if i in gone else side for i, side in enumerate(x.shape) if keep or i not in gone]
    return _empty(shape, dtype or x.dtype)


def _batch_norm(x: Tensor, *rest: Any) -> Any:
    given = next((tensor for tensor in rest if isinstance(tensor, Tensor)), None)
    if not x.is_contiguous() or rest[4] is True:
        return NotImplemented
    if given is not None and given.shape[0] != x.shape[1]:
        raise DoesNotFitError(f"takes {_channels(given.shape[0])}, got {x.shape[1]}")
    return _empty(x.shape, x.dtype), _empty((0,), x.dtype), _empty((0,), x.dtype)


def _matmul(a: Tensor, b: Tensor) -> Any:
    if a.shape[:-2] != b.shape[:-2]:
        return NotImplemented
    if a.shape[-1] != b.shape[-2]:
        raise DoesNotFitError(f"takes {b.shape[-2]:,} numbers, got {a.shape[-1]:,}")
    return _empty((*a.shape[:-1], b.shape[-1]), a.dtype)


def _index(x: Tensor, indices: Sequence[Tensor | None]) -> Any:
    places = [(dim, index) for dim, index in enumerate(indices) if index is not None]
    dim, index = places[0]
    if len(places) > 1 or index.dim() != 1 or index.dtype != torch.int64:
        return NotImplemented
    return _empty((*x.shape[:dim], len(index), *x.shape[dim + 1 :]), x.dtype)


def _cat(tensors: Sequence[Tensor], dim: int = 0) -> Any:
    first = tensors[0]
    dim %= first.dim()

    def around(tensor: Tensor) -> tuple[torch.dtype, Sides, Sides]:
        return tensor.dtype, tensor.shape[:dim], tensor.shape[dim + 1 :]

    if not all(tensor.is_contiguous() and around(tensor) == around(first) for tensor in tensors):
        return NotImplemented
    return _empty((*first.shape[:dim], sum(t.shape[dim] for t in tensors), *first.shape[dim + 1 :]), first.dtype)


RULES: dict[Callable[..., Any], Callable[..., Any]] = {
    aten.convolution.default: _convolution,
    aten.native_batch_norm.default: _batch_norm,
    aten._native_batch_norm_legit_no_training.default: _batch_norm,
    aten.max_pool2d_with_indices.default: _max_pool,
    aten.avg_pool2d.default: _avg_pool,
    aten.avg_pool3d.default: partial(_avg_pool, rank=3),
    aten._adaptive_avg_pool2d.default: _adaptive_pool,
    aten.mean.dim: _reduce,
    aten.sum.dim_IntList: _reduce,
    aten.mm.default: _matmul,
    aten.addmm.default: lambda _bias, a, b, **_how: _matmul(a, b),
    aten.bmm.default: _matmul,
    aten.index.Tensor: _index,
    aten.cat.default: _cat,
}

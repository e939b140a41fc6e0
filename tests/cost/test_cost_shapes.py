"""Our rules for shapes on the meta device, held to torch's own kernels."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from convwise.cost.operators import known
from convwise.cost.shapes import RULES, DoesNotFitError, shaped

aten = torch.ops.aten


def meta(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


X = meta(1, 6, 14, 15)
NORM = (meta(6), meta(6), meta(6), meta(6))
# fmt: off
# operator, arguments
CALLS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "convolution": (aten.convolution.default, (X, meta(8, 6, 3, 5), meta(8), [1, 1], [0, 0], [1, 1], False, [0, 0], 1)),
    "strided":     (aten.convolution.default, (X, meta(8, 6, 3, 3), None, [2, 3], [1, 2], [1, 1], False, [0, 0], 1)),
    "dilated":     (aten.convolution.default, (X, meta(8, 6, 3, 3), None, [1, 1], [0, 1], [3, 2], False, [0, 0], 1)),
    "depthwise":   (aten.convolution.default, (X, meta(6, 1, 3, 3), None, [2, 2], [1, 1], [1, 1], False, [0, 0], 6)),
    "one number":  (aten.convolution.default, (X, meta(8, 6, 3, 3), None, [2], [1], [1], False, [0], 1)),
    "1d":          (aten.convolution.default, (meta(2, 3, 9), meta(4, 3, 4), None, [2], [1], [1], False, [0], 1)),
    "3d":          (aten.convolution.default,
                    (meta(1, 2, 5, 6, 7), meta(4, 2, 2, 3, 2), None, [1, 2, 1], [0] * 3, [1] * 3, False, [0] * 3, 1)),
    "transposed":  (aten.convolution.default, (X, meta(6, 4, 3, 3), None, [2, 2], [1, 0], [1, 2], True, [1, 0], 2)),
    "channels last": (aten.convolution.default, (X.to(memory_format=torch.channels_last), meta(8, 6, 3, 3), None,
                                                 [1, 1], [0, 0], [1, 1], False, [0, 0], 1)),
    "batch norm":  (aten.native_batch_norm.default, (X, *NORM, False, 0.1, 1e-5)),
    "batch norm without scale": (aten.native_batch_norm.default, (X, None, None, *NORM[:2], False, 0.1, 1e-5)),
    "batch norm that trains": (aten.native_batch_norm.default, (X, *NORM, True, 0.1, 1e-5)),
    "batch norm, exported": (aten._native_batch_norm_legit_no_training.default, (X, *NORM, 0.1, 1e-5)),
    "max pool":         (aten.max_pool2d_with_indices.default, (X, [3, 3], [2, 2])),
    "max pool, ceil":   (aten.max_pool2d_with_indices.default, (X, [3, 2], [2, 2], [0, 0], [1, 1], True)),
    "max pool, dilated": (aten.max_pool2d_with_indices.default, (X, [3], [2], [1], [2])),
    "max pool, padded, ceil": (aten.max_pool2d_with_indices.default, (X, [2, 2], [3, 3], [1, 1], [1, 1], True)),
    "max pool without batch": (aten.max_pool2d_with_indices.default, (X[0], [2, 2])),
    "average pool":     (aten.avg_pool2d.default, (X, [3, 3])),
    "average pool, ceil": (aten.avg_pool2d.default, (X, [3, 3], [2, 2], [1, 0], True, False)),
    "average pool, 3d": (aten.avg_pool3d.default, (X, [5, 1, 1], [1, 1, 1])),
    "adaptive pool":    (aten._adaptive_avg_pool2d.default, (X, [7, 6])),
    "mean":             (aten.mean.dim, (X, [-1, -2], True)),
    "mean, flat":       (aten.mean.dim, (X, [2, 3])),
    "mean of all":      (aten.mean.dim, (X, [])),
    "sum":              (aten.sum.dim_IntList, (X, [-1])),
    "sum of integers":  (aten.sum.dim_IntList, (meta(3, 4, dtype=torch.int32), [1])),
    "mm":               (aten.mm.default, (meta(3, 4), meta(5, 4).t())),
    "addmm":            (aten.addmm.default, (meta(5), meta(3, 4), meta(5, 4).t())),
    "bmm":              (aten.bmm.default, (meta(2, 3, 4), meta(2, 4, 5))),
    "index":            (aten.index.Tensor, (X, [None, meta(4, dtype=torch.int64)])),
    "index by two":     (aten.index.Tensor, (X, [meta(4, dtype=torch.int64), meta(4, dtype=torch.int64)])),
    "cat":              (aten.cat.default, ([X, meta(1, 2, 14, 15), X], 1)),
    "cat, from the end": (aten.cat.default, ([X, X], -1)),
    "cat of two types": (aten.cat.default, ([X, X.to(torch.float64)], 0)),
    "relu":             (aten.relu.default, (X,)),
    "relu of another layout": (aten.relu.default, (X.permute(0, 2, 3, 1),)),
    "add":              (aten.add.Tensor, (X, X)),
    "broadcast":        (aten.mul.Tensor, (X, meta(6, 1, 1))),
    "broadcast both":   (aten.sub.Tensor, (meta(1, 5, 1, 84), meta(10, 84))),
    "scalar":           (aten.mul.Tensor, (X, 2)),
    "promoted":         (aten.mul.Tensor, (meta(3, dtype=torch.int64), 1.5)),
    "half and number":  (aten.add.Tensor, (X.half(), meta())),
    "comparison":       (aten.gt.Scalar, (X, 0)),
    "choice":           (aten.where.self, (meta(1, 6, 14, 15, dtype=torch.bool), X, meta())),
    "clamp":            (aten.hardtanh.default, (X, 0.0, 6.0)),
    "integers":         (aten.floor_divide.default, (meta(3, dtype=torch.int64), meta(3, dtype=torch.int64))),
    "number first":     (aten.pow.Scalar, (2, X)),
}
# fmt: on


def describe(result: Any) -> list[tuple[Any, ...]]:
    tensors = result if isinstance(result, tuple) else (result,)
    used = tensors[:1] if len(tensors) == 3 else tensors  # a batch norm's statistics are empty at inference
    return [(t.shape, t.stride(), t.dtype, t.device) for t in used]


@pytest.mark.parametrize(("operator", "args"), CALLS.values(), ids=CALLS)
def test_a_rule_gives_what_torch_gives(operator: Callable[..., Any], args: tuple[Any, ...]) -> None:
    found = shaped(operator, args, {}, pointwise=known(operator).pointwise)
    assert describe(found) == describe(operator(*args))


def test_every_rule_is_held_to_torch() -> None:
    assert {operator for operator, _ in CALLS.values()} >= RULES.keys()


# fmt: off
MISFITS = {
    "channels":   (CALLS["convolution"][0], (meta(1, 1, 9, 9), *CALLS["convolution"][1][1:]),
                   "takes 6 channels, got 1"),
    "channel":    (CALLS["convolution"][0], (X, meta(8, 1, 3, 3), None, [1], [0], [1], False, [0], 1),
                   "takes 1 channel, got 6"),
    "transposed": (CALLS["transposed"][0], (meta(1, 8, 9, 9), *CALLS["transposed"][1][1:]), "takes 6 channels, got 8"),
    "kernel":     (CALLS["convolution"][0], (meta(1, 6, 2, 9), *CALLS["convolution"][1][1:]),
                   "its window of 3 x 5 is larger than the padded input of 2 x 9"),
    "dilated":    (CALLS["dilated"][0], (meta(1, 6, 6, 9), *CALLS["dilated"][1][1:]),
                   "its window of 7 x 5 is larger than the padded input of 6 x 11"),
    "pool":       (aten.max_pool2d_with_indices.default, (meta(1, 6, 1, 1), [3, 3], [2, 2], [0, 0]),
                   "its window of 3 x 3 is larger than the padded input of 1 x 1"),
    "norm":       (aten.native_batch_norm.default, (meta(1, 8, 4, 4), *NORM, False, 0.1, 1e-5),
                   "takes 6 channels, got 8"),
    "product":    (aten.addmm.default, (meta(5), meta(1, 4000), meta(5, 9216).t()), "takes 9,216 numbers, got 4,000"),
}
# fmt: on


@pytest.mark.parametrize(("operator", "args", "words"), MISFITS.values(), ids=MISFITS)
def test_what_does_not_fit_is_said_in_a_few_words(
    operator: Callable[..., Any], args: tuple[Any, ...], words: str
) -> None:
    with pytest.raises(DoesNotFitError, match=f"^{re.escape(words)}$"):
        shaped(operator, args, {}, pointwise=False)


@pytest.mark.parametrize(
    ("operator", "args"),
    [
        (aten.add.Tensor, (X, meta(5, 1, 1))),
        (aten.bmm.default, (meta(2, 3, 4), meta(3, 4, 5))),
        (aten.cat.default, ([X, meta(1, 2, 14, 16)], 1)),
    ],
)
def test_other_misfits_are_told_by_torch(operator: Callable[..., Any], args: tuple[Any, ...]) -> None:
    with pytest.raises(RuntimeError):
        shaped(operator, args, {}, pointwise=known(operator).pointwise)

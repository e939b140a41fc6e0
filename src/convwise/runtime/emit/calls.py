"""Functions and methods of tensors as ONNX operators."""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import fx
from torch.nn import functional

from .emitter import Calls, Emitter, UnsupportedLayerError


def _arithmetic(kind: str) -> Callable[[Emitter, fx.Node], str]:
    """An operator on two tensors, or on a tensor and a number."""

    def emit(emitter: Emitter, n: fx.Node) -> str:
        if len(n.args) != 2 or n.kwargs:
            raise UnsupportedLayerError(f"{n.target} with {n.kwargs}")
        return emitter.node(n, kind, [_operand(emitter, n, f"operand{i}", a) for i, a in enumerate(n.args)])

    return emit


def _operand(emitter: Emitter, n: fx.Node, what: str, argument: Any) -> str:
    if isinstance(argument, fx.Node):
        return emitter.names[argument.name]
    if isinstance(argument, int | float):
        return emitter.constant(n, what, np.array(argument, np.float32))
    raise UnsupportedLayerError(f"{n.target} of {type(argument).__name__}")


def _unary(kind: str) -> Callable[[Emitter, fx.Node], str]:
    """An operator on one tensor; `inplace` makes no difference in a graph."""

    def emit(emitter: Emitter, n: fx.Node) -> str:
        if len(n.args) != 1:
            raise UnsupportedLayerError(f"{n.target}{n.args[1:]}")
        return emitter.node(n, kind, [emitter.source(n)])

    return emit


def _flatten(emitter: Emitter, n: fx.Node) -> str:
    if [*n.args[1:], *n.kwargs.values()] != [1]:
        raise UnsupportedLayerError(f"{n.target}{n.args[1:]}")
    return emitter.node(n, "Flatten", [emitter.source(n)], axis=1)


def _concatenate(emitter: Emitter, n: fx.Node) -> str:
    tensors, *dims = [*n.args, *n.kwargs.values()]
    if not isinstance(tensors, list | tuple) or len(dims) != 1:
        raise UnsupportedLayerError(f"{n.target}{n.args[1:]}")
    return emitter.node(n, "Concat", [_operand(emitter, n, "", t) for t in tensors], axis=dims[0])


def _pad(emitter: Emitter, n: fx.Node) -> str:
    """Zeros around: torch tells the last axis first, before and after, ONNX all befores and then all afters."""
    mode, value = n.kwargs.get("mode", "constant"), n.kwargs.get("value") or 0
    if len(n.args) != 2 or (mode, value) != ("constant", 0):
        raise UnsupportedLayerError(f"pad other than with zeros: {n.args[2:]}, {n.kwargs}")
    given: Any = n.args[1]
    pads = [*given] + [0] * (2 * len(emitter.source_shape(n)) - len(given))
    both = np.array([*pads[::2][::-1], *pads[1::2][::-1]])
    return emitter.node(n, "Pad", [emitter.source(n), emitter.constant(n, "pads", both)])


def _unsqueeze(emitter: Emitter, n: fx.Node) -> str:
    return emitter.node(n, "Unsqueeze", [emitter.source(n), emitter.constant(n, "axes", np.array(_axes(n)))])


def _sum(emitter: Emitter, n: fx.Node) -> str:
    axes = emitter.constant(n, "axes", np.array(_axes(n)))
    return emitter.node(n, "ReduceSum", [emitter.source(n), axes], keepdims=0)


def _axes(n: fx.Node) -> list[int]:
    axes: Any = n.args[1:]
    if len(axes) != 1 or not isinstance(axes[0], int) or n.kwargs:
        raise UnsupportedLayerError(f"{n.target}{axes}, {n.kwargs}")
    return [*axes]


def _index(emitter: Emitter, n: fx.Node) -> str:
    """`x[:, :, ::2, ::2]` and `x[:, [0, 2, 1]]`: slices with a step, or one list of places on one axis."""
    index: Any = n.args[1]
    keys = {axis: key for axis, key in enumerate(index if isinstance(index, tuple) else (index,)) if key != slice(None)}
    source = emitter.source(n)
    if 0 in keys:
        raise UnsupportedLayerError(f"index {index} of the batch")
    if not keys:
        return source
    if all(isinstance(key, slice) for key in keys.values()):
        bounds = [key.indices(emitter.source_shape(n)[axis]) for axis, key in keys.items()]
        starts, ends, steps = (
            emitter.constant(n, what, np.array(bound))
            for what, bound in zip(("starts", "ends", "steps"), zip(*bounds, strict=True), strict=True)
        )
        return emitter.node(n, "Slice", [source, starts, ends, emitter.constant(n, "axes", np.array([*keys])), steps])
    (axis, places), *others = keys.items()
    if others or not isinstance(places, list):
        raise UnsupportedLayerError(f"index {index}")
    return emitter.node(n, "Gather", [source, emitter.constant(n, "places", np.array(places))], axis=axis)


CALLS: Calls = {
    operator.add: _arithmetic("Add"), torch.add: _arithmetic("Add"), operator.iadd: _arithmetic("Add"),
    operator.sub: _arithmetic("Sub"), operator.mul: _arithmetic("Mul"), torch.mul: _arithmetic("Mul"),
    operator.truediv: _arithmetic("Div"), operator.pow: _arithmetic("Pow"),
    torch.relu: _unary("Relu"), functional.relu: _unary("Relu"), "relu": _unary("Relu"),
    torch.tanh: _unary("Tanh"), "tanh": _unary("Tanh"), torch.sigmoid: _unary("Sigmoid"),
    operator.neg: _unary("Neg"),
    torch.flatten: _flatten, "flatten": _flatten, torch.cat: _concatenate, torch.concat: _concatenate,
    functional.pad: _pad, operator.getitem: _index, "unsqueeze": _unsqueeze, "sum": _sum,
}  # fmt: skip

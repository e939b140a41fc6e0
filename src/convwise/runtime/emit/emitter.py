"""A network's modules -> ONNX nodes, one operator each, at one resolution.

torch.fx gives the order of the calls; batch norm is folded into the convolution before it; TensorFlow's "SAME" padding
becomes constants of the resolution. A layer kind that is not in the table below raises `UnsupportedLayerError`, and
the caller takes torch.onnx instead.
"""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from torch import Tensor, fx, nn
from torch.nn import functional

from ..networks.blocks import SameConv2d

Floats = NDArray[np.float32]


class UnsupportedLayerError(Exception):
    """A layer kind or call for which there is no direct emission."""


class _Tracer(fx.Tracer):
    """Look into everything but torch's own layers and SameConv2d."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, SameConv2d) or super().is_leaf_module(m, module_qualified_name)


class Emission:
    """The operators and weights of a graph, written part by part."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def node(self, kind: str, inputs: list[str], name: str, **attributes: Any) -> str:
        """Append an operator; returns the name of its output, which is the operator's own."""
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def constant(self, name: str, array: NDArray[Any]) -> str:
        """Append a constant; returns its name."""
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def part(self, name: str, module: nn.Module, source: str, example: Tensor) -> Tensor:
        """Append a module's operators; its output is called `name`. Returns what the module makes of `example`.

        Raises:
            UnsupportedLayerError: the module has a layer kind or call for which there is no direct emission.
        """
        emitter = _Emitter(self, name, module, source)
        before = len(self.nodes)
        value: Tensor = emitter.run(example)
        emitter.write_convolutions()
        if emitter.result == source:
            self.node("Identity", [source], name)
            return value
        for node in self.nodes[before:]:
            for names in (node.input, node.output):
                names[:] = [name if n == emitter.result else n for n in names]
        return value


class _Emitter(fx.Interpreter):
    """Runs one part on an example and appends, call by call, the operator that does the same."""

    def __init__(self, emission: Emission, prefix: str, module: nn.Module, source: str) -> None:
        try:
            root = nn.Sequential(module)  # traced as the root, a bare layer would fall apart into its operations
            graph = _Tracer().trace(root)
        except Exception as error:  # data-dependent control flow and the like: torch.onnx may know how
            raise UnsupportedLayerError(f"{type(module).__name__} cannot be traced: {error}") from error
        super().__init__(fx.GraphModule(root, graph))
        self.emission, self.prefix, self.input = emission, prefix, source
        self.result = source
        self.names: dict[str, str] = {}  # fx node -> ONNX value
        self.shapes: dict[str, torch.Size] = {}  # fx node -> shape of its value
        self.bare: dict[str, tuple[Floats, Floats]] = {}  # convolution's ONNX value -> weight, bias

    def run_node(self, n: fx.Node) -> Any:
        """Run one call and emit its operator."""
        value = super().run_node(n)
        if isinstance(value, Tensor):
            self.shapes[n.name] = value.shape
        if n.op == "placeholder":
            self.names[n.name] = self.input
        elif n.op == "output":
            self.result = self.source(n)
        elif n.op == "call_module":
            self._module(n, self.fetch_attr(str(n.target)))
        elif n.op in ("call_function", "call_method"):
            self._call(n)
        else:
            raise UnsupportedLayerError(f"{n.op} {n.target}")
        return value

    def _module(self, n: fx.Node, module: nn.Module) -> None:
        emit = next((emit for kind, emit in LAYERS if isinstance(module, kind)), None)
        if emit is None or len(n.args) != 1 or n.kwargs:
            raise UnsupportedLayerError(type(module).__name__)
        self.names[n.name] = emit(self, n, module)

    def _call(self, n: fx.Node) -> None:
        kind = CALLS.get(n.target)
        if kind is None:
            raise UnsupportedLayerError(str(n.target))
        inputs = [self.names[a.name] for a in n.args if isinstance(a, fx.Node)]
        if kind in ("Add", "Mul"):
            if len(inputs) != 2 or n.kwargs:
                raise UnsupportedLayerError(f"{n.target} with a constant or {n.kwargs}")
            self.names[n.name] = self.node(n, kind, inputs)
        elif kind == "Flatten" and [*n.args[1:], *n.kwargs.values()] == [1]:
            self.names[n.name] = self.node(n, kind, inputs, axis=1)
        elif kind == "Relu":
            self.names[n.name] = self.node(n, kind, inputs)
        else:
            raise UnsupportedLayerError(f"{n.target}{n.args[1:]}")

    def node(self, n: fx.Node, kind: str, inputs: list[str], **attributes: Any) -> str:
        """Append the operator of a call; returns the name of its output."""
        return self.emission.node(kind, inputs, f"{self.prefix}/{n.name}", **attributes)

    def constant(self, n: fx.Node, what: str, array: NDArray[Any]) -> str:
        """Append a constant of a call; returns its name."""
        return self.emission.constant(f"{self.prefix}/{n.name}.{what}", array)

    def source(self, n: fx.Node) -> str:
        """ONNX name of a call's one input."""
        return self.names[_input(n).name]

    def conv(self, n: fx.Node, module: nn.Conv2d) -> str:
        """Emit a convolution; its weights wait until it is known whether a batch norm follows."""
        source = self.source(n)
        if isinstance(module, SameConv2d):
            left, right, top, bottom = module.pads(*self.shapes[_input(n).name][2:])
            pads = [top, left, bottom, right]
        elif isinstance(module.padding, str) or module.padding_mode != "zeros":
            raise UnsupportedLayerError(f"Conv2d with padding {module.padding!r}, {module.padding_mode}")
        else:
            pads = [*module.padding, *module.padding]
        name = f"{self.prefix}/{n.name}"
        output = self.node(
            n, "Conv", [source, f"{name}.weight", f"{name}.bias"], kernel_shape=module.kernel_size,
            strides=module.stride, dilations=module.dilation, group=module.groups, pads=pads,
        )  # fmt: skip
        bias = np.zeros(module.out_channels, np.float32) if module.bias is None else _numpy(module.bias)
        self.bare[output] = (_numpy(module.weight), bias)
        return output

    def batch_norm(self, n: fx.Node, module: nn.BatchNorm2d) -> str:
        """Fold into the convolution before it: w' = w g and b' = (b - mean) g + bias.

        Here g = weight / sqrt(var + eps).
        """
        source = self.source(n)
        alone = len(_input(n).users) == 1
        if source not in self.bare or not alone or module.running_mean is None or not module.affine:
            raise UnsupportedLayerError("BatchNorm2d that does not directly follow a convolution")
        weight, bias = self.bare[source]
        gain = _numpy(module.weight) / np.sqrt(_numpy(module.running_var).astype(np.float64) + module.eps)
        shifted = (bias - _numpy(module.running_mean)) * gain + _numpy(module.bias)
        self.bare[source] = ((weight * gain[:, None, None, None]).astype(np.float32), shifted.astype(np.float32))
        return source

    def write_convolutions(self) -> None:
        """Append the weights of every convolution, folded or not."""
        for name, (weight, bias) in self.bare.items():
            self.emission.constant(f"{name}.weight", weight)
            self.emission.constant(f"{name}.bias", bias)

    def linear(self, n: fx.Node, module: nn.Linear) -> str:
        """Emit x W^T + b."""
        bias = np.zeros(module.out_features, np.float32) if module.bias is None else _numpy(module.bias)
        weight = self.constant(n, "weight", _numpy(module.weight))
        return self.node(n, "Gemm", [self.source(n), weight, self.constant(n, "bias", bias)], transB=1)

    def pool(self, n: fx.Node, module: nn.MaxPool2d | nn.AvgPool2d) -> str:
        """Emit max or average pooling."""
        if getattr(module, "return_indices", False) or getattr(module, "divisor_override", None):
            raise UnsupportedLayerError(f"{type(module).__name__} with {module.extra_repr()}")
        attributes: dict[str, Any] = {
            "kernel_shape": _pair(module.kernel_size), "strides": _pair(module.stride),
            "pads": [*_pair(module.padding), *_pair(module.padding)], "ceil_mode": int(module.ceil_mode),
        }  # fmt: skip
        if isinstance(module, nn.AvgPool2d):
            return self.node(
                n, "AveragePool", [self.source(n)], count_include_pad=int(module.count_include_pad), **attributes
            )
        return self.node(n, "MaxPool", [self.source(n)], dilations=_pair(module.dilation), **attributes)

    def global_pool(self, n: fx.Node, module: nn.AdaptiveAvgPool2d) -> str:
        """Emit the mean over height and width."""
        if module.output_size not in (1, (1, 1)):
            raise UnsupportedLayerError(f"AdaptiveAvgPool2d to {module.output_size}")
        return self.node(n, "GlobalAveragePool", [self.source(n)])

    def flatten(self, n: fx.Node, module: nn.Flatten) -> str:
        """Emit (B, C, H, W) -> (B, C * H * W)."""
        if (module.start_dim, module.end_dim) != (1, -1):
            raise UnsupportedLayerError(f"Flatten({module.start_dim}, {module.end_dim})")
        return self.node(n, "Flatten", [self.source(n)], axis=1)

    def clip(self, n: fx.Node, module: nn.Hardtanh) -> str:
        """Emit a clip to [min_val, max_val]; ReLU6 is one."""
        low = self.constant(n, "low", np.array(module.min_val, np.float32))
        high = self.constant(n, "high", np.array(module.max_val, np.float32))
        return self.node(n, "Clip", [self.source(n), low, high])


def _input(n: fx.Node) -> fx.Node:
    """The call that a call's one input comes from."""
    argument = n.args[0]
    if not isinstance(argument, fx.Node):
        raise UnsupportedLayerError(f"{n.target} of a constant")
    return argument


def _numpy(tensor: Tensor | None) -> Floats:
    assert tensor is not None
    return tensor.detach().cpu().numpy().astype(np.float32)


def _pair(value: int | tuple[int, ...]) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)


def _unary(kind: str) -> Callable[[_Emitter, fx.Node, nn.Module], str]:
    return lambda emitter, n, _module: emitter.node(n, kind, [emitter.source(n)])


def _nothing(emitter: _Emitter, n: fx.Node, _module: nn.Module) -> str:
    return emitter.source(n)


# Layer kind -> how it is emitted; Hardtanh covers ReLU6, dropout does nothing at inference.
LAYERS: tuple[tuple[type[nn.Module], Callable[[_Emitter, fx.Node, Any], str]], ...] = (
    (nn.Conv2d, _Emitter.conv),
    (nn.BatchNorm2d, _Emitter.batch_norm),
    (nn.Linear, _Emitter.linear),
    (nn.Hardtanh, _Emitter.clip),
    (nn.ReLU, _unary("Relu")),
    (nn.Tanh, _unary("Tanh")),
    (nn.Sigmoid, _unary("Sigmoid")),
    (nn.MaxPool2d, _Emitter.pool),
    (nn.AvgPool2d, _Emitter.pool),
    (nn.AdaptiveAvgPool2d, _Emitter.global_pool),
    (nn.Flatten, _Emitter.flatten),
    (nn.Dropout, _nothing),
    (nn.Identity, _nothing),
)

CALLS: dict[Any, str] = {
    operator.add: "Add", torch.add: "Add", operator.iadd: "Add", operator.mul: "Mul", torch.mul: "Mul",
    torch.relu: "Relu", functional.relu: "Relu", "relu": "Relu", torch.flatten: "Flatten", "flatten": "Flatten",
}  # fmt: skip

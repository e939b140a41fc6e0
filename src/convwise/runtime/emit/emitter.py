"""What walks through a module call by call and writes ONNX operators."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from torch import Tensor, fx, nn

from ...networks.blocks import SameConv2d
from ...networks.repeatable import AdaptiveAvgPool2d, LocalResponseNorm

Floats = NDArray[np.float32]
OWN = (SameConv2d, AdaptiveAvgPool2d, LocalResponseNorm)


class UnsupportedLayerError(Exception):
    """A layer kind or call for which there is no direct emission."""


class _Tracer(fx.Tracer):
    """Look into everything but torch's layers and ours that stand for one."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, OWN) or super().is_leaf_module(m, module_qualified_name)


class Emission:
    """The operators and weights of a graph, as they are written."""

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


class Emitter(fx.Interpreter):
    """Runs one module on an example and appends, call by call, the operator that does the same.

    Attributes:
        result: ONNX name of what the module gives, once it has run.
        bare: convolution's ONNX name -> weight and bias, which wait until it is known whether a batch norm follows.
    """

    def __init__(
        self, emission: Emission, prefix: str, module: nn.Module, source: str, *, layers: "Layers", calls: "Calls"
    ) -> None:
        try:
            root = nn.Sequential(module)  # traced as the root, a bare layer would fall apart into its operations
            graph = _Tracer().trace(root)
        except Exception as error:  # data-dependent control flow and the like: torch.onnx may know how
            raise UnsupportedLayerError(f"{type(module).__name__} cannot be traced: {error}") from error
        super().__init__(fx.GraphModule(root, graph))
        self.emission, self.prefix, self.input = emission, prefix, source
        self.layers, self.calls = layers, calls
        self.result = source
        self.names: dict[str, str] = {}  # fx node -> ONNX value
        self.shapes: dict[str, torch.Size] = {}  # fx node -> shape of its value
        self.bare: dict[str, tuple[Floats, Floats]] = {}

    def run_node(self, n: fx.Node) -> Any:
        """Run one call and emit its operator."""
        value = super().run_node(n)
        if isinstance(value, Tensor):
            self.shapes[n.name] = value.shape
        if n.op == "placeholder":
            self.names[n.name] = self.input
        elif n.op == "output":
            self.result = self.source(n)
        elif n.op == "get_attr" and isinstance(value, Tensor):
            self.names[n.name] = self.constant(n, "value", to_numpy(value))
        elif n.op == "call_module":
            self._module(n, self.fetch_attr(str(n.target)))
        elif n.op in ("call_function", "call_method") and n.target in self.calls:
            self.names[n.name] = self.calls[n.target](self, n)
        else:
            raise UnsupportedLayerError(f"{n.op} {n.target}")
        return value

    def _module(self, n: fx.Node, module: nn.Module) -> None:
        emit = next((emit for kind, emit in self.layers if isinstance(module, kind)), None)
        if emit is None or len(n.args) != 1 or n.kwargs:
            raise UnsupportedLayerError(type(module).__name__)
        self.names[n.name] = emit(self, n, module)

    def node(self, n: fx.Node, kind: str, inputs: list[str], *, part: str = "", **attributes: Any) -> str:
        """Append the operator of a call, or one `part` of it; returns the name of its output."""
        return self.emission.node(kind, inputs, f"{self.prefix}/{n.name}{part}", **attributes)

    def constant(self, n: fx.Node, what: str, array: NDArray[Any]) -> str:
        """Append a constant of a call; returns its name."""
        return self.emission.constant(f"{self.prefix}/{n.name}.{what}", array)

    def source(self, n: fx.Node) -> str:
        """ONNX name of a call's first input."""
        return self.names[first_input(n).name]

    def source_shape(self, n: fx.Node) -> torch.Size:
        """Shape of a call's first input."""
        return self.shapes[first_input(n).name]

    def write_convolutions(self) -> None:
        """Append the weights of every convolution, folded or not."""
        for name, (weight, bias) in self.bare.items():
            self.emission.constant(f"{name}.weight", weight)
            self.emission.constant(f"{name}.bias", bias)


Layers = Sequence[tuple[type[nn.Module], Callable[[Emitter, fx.Node, Any], str]]]
Calls = Mapping[Any, Callable[[Emitter, fx.Node], str]]


def first_input(n: fx.Node) -> fx.Node:
    """The call that a call's first input comes from."""
    argument = n.args[0]
    if not isinstance(argument, fx.Node):
        raise UnsupportedLayerError(f"{n.target} of a constant")
    return argument


def to_numpy(tensor: Tensor | None) -> Floats:
    """A weight as a float32 array."""
    assert tensor is not None
    return tensor.detach().cpu().numpy().astype(np.float32, copy=False)

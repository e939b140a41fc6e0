"""torch's layers as ONNX operators."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import fx, nn

from ...networks.blocks import SameConv2d
from .emitter import Emitter, Floats, Layers, UnsupportedLayerError, first_input, to_numpy

LARGEST = float(np.finfo(np.float32).max)


def _conv(emitter: Emitter, n: fx.Node, module: nn.Conv2d) -> str:
    source = emitter.source(n)
    if isinstance(module, SameConv2d):
        left, right, top, bottom = module.pads(*emitter.source_shape(n)[2:])
        pads = [top, left, bottom, right]
    elif isinstance(module.padding, str) or module.padding_mode != "zeros":
        raise UnsupportedLayerError(f"Conv2d with padding {module.padding!r}, {module.padding_mode}")
    else:
        pads = [*module.padding, *module.padding]
    name = f"{emitter.prefix}/{n.name}"
    output = emitter.node(
        n, "Conv", [source, f"{name}.weight", f"{name}.bias"], kernel_shape=module.kernel_size,
        strides=module.stride, dilations=module.dilation, group=module.groups, pads=pads,
    )  # fmt: skip
    bias = np.zeros(module.out_channels, np.float32) if module.bias is None else to_numpy(module.bias)
    emitter.bare[output] = (to_numpy(module.weight), bias)
    return output


def _batch_norm(emitter: Emitter, n: fx.Node, module: nn.BatchNorm2d) -> str:
    """Fold into the convolution before it: w' = w g and b' = (b - mean) g + bias; g = weight / sqrt(var + eps)."""
    source = emitter.source(n)
    alone = len(first_input(n).users) == 1
    if source not in emitter.bare or not alone or module.running_mean is None or not module.affine:
        raise UnsupportedLayerError("BatchNorm2d that does not directly follow a convolution")
    weight, bias = emitter.bare[source]
    gain = to_numpy(module.weight) / np.sqrt(to_numpy(module.running_var).astype(np.float64) + module.eps)
    shifted = (bias - to_numpy(module.running_mean)) * gain + to_numpy(module.bias)
    folded = weight * gain[:, None, None, None], shifted
    if max(float(np.abs(numbers).max()) for numbers in folded) > LARGEST:
        return _normalised(emitter, n, module, gain)
    emitter.bare[source] = folded[0].astype(np.float32), shifted.astype(np.float32)
    return source


def _normalised(emitter: Emitter, n: fx.Node, module: nn.BatchNorm2d, gain: NDArray[np.float64]) -> str:
    """(x - mean) g + bias, for what float32 cannot hold folded; ONNX Runtime would fold a BatchNormalization itself."""

    def constant(what: str, values: Floats) -> str:
        return emitter.constant(n, what, values[:, None, None])

    mean, bias = constant("mean", to_numpy(module.running_mean)), constant("bias", to_numpy(module.bias))
    centred = emitter.node(n, "Sub", [emitter.source(n), mean], part=".centred")
    scaled = emitter.node(n, "Mul", [centred, constant("gain", gain.astype(np.float32))], part=".scaled")
    return emitter.node(n, "Add", [scaled, bias])


def _linear(emitter: Emitter, n: fx.Node, module: nn.Linear) -> str:
    bias = np.zeros(module.out_features, np.float32) if module.bias is None else to_numpy(module.bias)
    weight = emitter.constant(n, "weight", to_numpy(module.weight))
    return emitter.node(n, "Gemm", [emitter.source(n), weight, emitter.constant(n, "bias", bias)], transB=1)


def _pool(emitter: Emitter, n: fx.Node, module: nn.MaxPool2d | nn.AvgPool2d) -> str:
    if getattr(module, "return_indices", False) or getattr(module, "divisor_override", None):
        raise UnsupportedLayerError(f"{type(module).__name__} with {module.extra_repr()}")
    attributes: dict[str, Any] = {
        "kernel_shape": _pair(module.kernel_size), "strides": _pair(module.stride),
        "pads": [*_pair(module.padding), *_pair(module.padding)], "ceil_mode": int(module.ceil_mode),
    }  # fmt: skip
    if isinstance(module, nn.AvgPool2d):
        attributes["count_include_pad"] = int(module.count_include_pad)
        return emitter.node(n, "AveragePool", [emitter.source(n)], **attributes)
    return emitter.node(n, "MaxPool", [emitter.source(n)], dilations=_pair(module.dilation), **attributes)


def _adaptive_pool(emitter: Emitter, n: fx.Node, module: nn.AdaptiveAvgPool2d) -> str:
    """Mean over each cell of a grid; cells of unequal size are two matrix products, one a side."""
    source, (height, width) = emitter.source(n), emitter.source_shape(n)[2:]
    size = _pair(module.output_size)
    if size == [1, 1]:
        return emitter.node(n, "GlobalAveragePool", [source])
    if size == [height, width]:
        return source
    rows = emitter.constant(n, "rows", _cells(height, size[0]))
    columns = emitter.constant(n, "columns", _cells(width, size[1]).T)
    return emitter.node(n, "MatMul", [emitter.node(n, "MatMul", [rows, source], part=".over_rows"), columns])


def _cells(side: int, cells: int) -> Floats:
    """The matrix (cells, side) whose row i takes the mean from floor(i side / cells) to ceil((i + 1) side / cells)."""
    matrix = np.zeros((cells, side), np.float32)
    for i in range(cells):
        start, stop = i * side // cells, -(-(i + 1) * side // cells)
        matrix[i, start:stop] = 1 / (stop - start)
    return matrix


def _response_norm(emitter: Emitter, n: fx.Node, module: nn.LocalResponseNorm) -> str:
    if module.size % 2 == 0:  # ONNX and torch put the odd channel on different sides
        raise UnsupportedLayerError(f"LocalResponseNorm over {module.size} channels")
    source = emitter.source(n)
    return emitter.node(n, "LRN", [source], size=module.size, alpha=module.alpha, beta=module.beta, bias=module.k)


def _flatten(emitter: Emitter, n: fx.Node, module: nn.Flatten) -> str:
    if (module.start_dim, module.end_dim) != (1, -1):
        raise UnsupportedLayerError(f"Flatten({module.start_dim}, {module.end_dim})")
    return emitter.node(n, "Flatten", [emitter.source(n)], axis=1)


def _clip(emitter: Emitter, n: fx.Node, module: nn.Hardtanh) -> str:
    low = emitter.constant(n, "low", np.array(module.min_val, np.float32))
    high = emitter.constant(n, "high", np.array(module.max_val, np.float32))
    return emitter.node(n, "Clip", [emitter.source(n), low, high])


def _relu(emitter: Emitter, n: fx.Node, _module: nn.ReLU) -> str:
    return emitter.node(n, "Relu", [emitter.source(n)])


def _tanh(emitter: Emitter, n: fx.Node, _module: nn.Tanh) -> str:
    return emitter.node(n, "Tanh", [emitter.source(n)])


def _sigmoid(emitter: Emitter, n: fx.Node, _module: nn.Sigmoid) -> str:
    return emitter.node(n, "Sigmoid", [emitter.source(n)])


def _silu(emitter: Emitter, n: fx.Node, _module: nn.SiLU) -> str:
    source = emitter.source(n)
    return emitter.node(n, "Mul", [source, emitter.node(n, "Sigmoid", [source], part=".gate")])


def _nothing(emitter: Emitter, n: fx.Node, _module: nn.Module) -> str:
    return emitter.source(n)


def _pair(value: Any) -> list[int]:
    """A number for both sides, or one for each."""
    return [value, value] if isinstance(value, int) else list(value)


# Hardtanh covers ReLU6; dropout does nothing at inference.
LAYERS: Layers = (
    (nn.Conv2d, _conv),
    (nn.BatchNorm2d, _batch_norm),
    (nn.Linear, _linear),
    (nn.Hardtanh, _clip),
    (nn.ReLU, _relu),
    (nn.SiLU, _silu),
    (nn.Tanh, _tanh),
    (nn.Sigmoid, _sigmoid),
    (nn.MaxPool2d, _pool),
    (nn.AvgPool2d, _pool),
    (nn.AdaptiveAvgPool2d, _adaptive_pool),
    (nn.LocalResponseNorm, _response_norm),
    (nn.Flatten, _flatten),
    (nn.Dropout, _nothing),
    (nn.Identity, _nothing),
)

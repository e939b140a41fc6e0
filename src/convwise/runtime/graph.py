"""A network as one ONNX graph: uint8 pixels in, any of its cuts out, normalisation inside; held to eager torch.

Direct emission (emit/) where every layer kind is known: a tenth of a second, batch norm folded. A module with other
layers goes through torch.onnx, several seconds. Either way the graph is run beside eager torch before it is handed out.
"""

import copy
import warnings
from collections.abc import Sequence

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper
from torch import Tensor, nn

from .. import networks
from ..data.preprocessing import Preprocessing
from ..errors import GateError, UsageError
from .emit import Emission, UnsupportedLayerError, emit_part
from .onnx_head import name_outputs
from .session import TOLERANCE, FrozenNetwork, relative_error

OPSET, IR_VERSION = 20, 10  # what ONNX Runtime 1.20 and later read


def _pieces(network: nn.Module) -> tuple[tuple[str, nn.Module], ...]:
    """The parts of a network that keeps the contract; a foreign module is one part, `logits`."""
    try:
        return networks.parts(network)
    except UsageError:
        return (("logits", network),)


class PixelNetwork(nn.Module):
    """A network behind its normalisation: uint8 (B, H, W, C) in, a tuple of the named cuts out."""

    def __init__(self, network: nn.Module, preprocessing: Preprocessing, cuts: Sequence[str]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(module for _, module in _pieces(network))
        self.part_names = [name for name, _ in _pieces(network)]
        self.cuts = list(cuts)
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(preprocessing.mean))
        self.register_buffer("std", torch.tensor(preprocessing.std))

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """(B, H, W, C) uint8 -> one tensor a cut."""
        x = ((pixels.float() - self.mean) / self.std).permute(0, 3, 1, 2)
        seen = {}
        for name, part in zip(self.part_names, self.parts, strict=True):
            seen[name] = x = part(x)
        return tuple(seen[cut] for cut in self.cuts)


def export_graph(
    network: nn.Module, preprocessing: Preprocessing, cuts: Sequence[str] | None = None
) -> onnx.ModelProto:
    """Export a network for one resolution, with every cut as an output or only those named.

    Args:
        network: any module, (B, C, H, W) -> (B, K); cuts inside it need the `stem`, `stages`, `head` contract.
        preprocessing: gives resolution, channels and the normalisation that the graph does itself.
        cuts: names of the outputs, such as "stage3.block2", "features", "logits".

    Returns:
        A graph with the input "pixels", uint8 (B, H, W, C), and one float32 output a cut, named like it.

    Raises:
        UsageError: a cut that the network does not have.
        GateError: the graph's outputs are not those of eager torch.
    """
    names = [name for name, _ in _pieces(network)]
    cuts = list(names if cuts is None else cuts)
    for cut in cuts:
        if cut not in names:
            raise UsageError(f"cut must be one of {', '.join(names)}, got {cut!r}")
    network = copy.deepcopy(network).eval()  # whatever mode each part of the original is in, it stays
    pixels = np.random.default_rng(0).integers(0, 256, (2, *preprocessing.shape), np.uint8)  # two: any batch must do
    with torch.no_grad():
        wrapped = PixelNetwork(network, preprocessing, cuts).eval()
        expected = wrapped(torch.from_numpy(pixels))
        try:
            model = _emit(network, preprocessing, cuts)
        except UnsupportedLayerError:
            model = _torch_onnx(wrapped, torch.from_numpy(pixels))
    _hold_to_eager(model, pixels, dict(zip(cuts, (e.numpy() for e in expected), strict=True)))
    return model


def classifier_graph(network: nn.Module, preprocessing: Preprocessing) -> onnx.ModelProto:
    """Export a whole network as a classifier: out come `logits` and `feature_map`, the last cut before `features`."""
    names = [name for name, _ in _pieces(network)]
    model = export_graph(network, preprocessing, [names[-3], names[-1]])
    name_outputs(model, {"logits": "logits", names[-3]: "feature_map"})
    return model


def _emit(network: nn.Module, preprocessing: Preprocessing, cuts: Sequence[str]) -> onnx.ModelProto:
    emission = Emission()
    shape = (1, 1, 1, preprocessing.channels)
    mean = emission.constant("mean", np.array(preprocessing.mean, np.float32).reshape(shape))
    std = emission.constant("std", np.array(preprocessing.std, np.float32).reshape(shape))
    emission.node("Cast", ["pixels"], "levels", to=TensorProto.FLOAT)
    emission.node("Sub", ["levels", mean], "centred")
    emission.node("Div", ["centred", std], "normalised")
    emission.node("Transpose", ["normalised"], "input", perm=[0, 3, 1, 2])
    value, names = torch.zeros(1, preprocessing.channels, *preprocessing.shape[:2]), ["input"]
    shapes: dict[str, list[str | int]] = {}
    for name, module in _pieces(network):
        value = emit_part(emission, name, module, names[-1], value)
        names.append(name)
        shapes[name] = ["B", *value.shape[1:]]
        if set(cuts) <= set(names):
            break  # nothing behind the last cut is wanted
    graph = helper.make_graph(
        emission.nodes,
        "convwise",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["B", *preprocessing.shape])],
        [helper.make_tensor_value_info(cut, TensorProto.FLOAT, shapes[cut]) for cut in cuts],
        emission.initializers,
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="convwise"
    )


def _torch_onnx(wrapped: PixelNetwork, pixels: Tensor) -> onnx.ModelProto:
    batch = torch.export.Dim("B")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations; what counts is checked on the numbers
        program = torch.onnx.export(
            wrapped, (pixels,), dynamo=True, dynamic_shapes=({0: batch},), input_names=["pixels"],
            output_names=wrapped.cuts, opset_version=OPSET, verbose=False,
        )  # fmt: skip
    assert program is not None
    return program.model_proto


def _hold_to_eager(model: onnx.ModelProto, pixels: NDArray[np.uint8], expected: dict[str, NDArray[np.float32]]) -> None:
    got = FrozenNetwork(model.SerializeToString()).run(pixels, list(expected))
    for (cut, reference), value in zip(expected.items(), got, strict=True):
        if not (error := relative_error(value, reference)) <= TOLERANCE:
            raise GateError(f"the exported graph differs from torch at {cut}: {error:.2g}, allowed {TOLERANCE:.0e}")

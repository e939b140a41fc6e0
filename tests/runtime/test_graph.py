"""A network's graph equals eager torch at every cut, directly emitted or through torch.onnx."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn import functional as F

from convwise import networks
from convwise.data.preprocessing import Preprocessing
from convwise.errors import DataError, GateError, UsageError
from convwise.networks.blocks import ConvNet, SameConv2d
from convwise.runtime import graph as graph_module
from convwise.runtime.emit import LAYERS, Emission, UnsupportedLayerError, emit_part
from convwise.runtime.graph import PixelNetwork, classifier_graph, export_graph
from convwise.runtime.session import FrozenNetwork

COLOUR = Preprocessing(resolution=8, mean=(120.0, 110.0, 100.0), std=(60.0, 50.0, 40.0))


@pytest.fixture
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail where torch.onnx is taken."""
    monkeypatch.setattr(graph_module, "_torch_onnx", lambda *_: pytest.fail("not emitted directly"))


def scrambled(network: nn.Module, seed: int = 0) -> nn.Module:
    """Random batch norm statistics, so that folding them wrongly shows."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in (
                (module.running_mean, -0.5, 0.5), (module.running_var, 0.5, 2.0),
                (module.weight, 0.7, 1.4), (module.bias, -0.3, 0.3),
            ):  # fmt: skip
                assert tensor is not None
                tensor.data = torch.rand(tensor.shape, generator=generator) * (high - low) + low
    return network.eval()


def images(preprocessing: Preprocessing, n: int = 3, seed: int = 1) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (n, *preprocessing.shape), np.uint8)


def assert_equals_eager(network: nn.Module, preprocessing: Preprocessing, model: onnx.ModelProto) -> None:
    """At each output of the graph, on a batch and on other images than the export's own."""
    frozen = FrozenNetwork(model.SerializeToString())
    pixels = images(preprocessing)
    with torch.no_grad():
        expected = PixelNetwork(network, preprocessing, frozen.outputs).eval()(torch.from_numpy(pixels))
    for name, got, reference in zip(frozen.outputs, frozen.run(pixels, frozen.outputs), expected, strict=True):
        scale = max(1.0, float(reference.abs().max()))
        assert np.abs(got - reference.numpy()).max() <= 1e-4 * scale, name
        assert float(reference.std()) > 0, name


@pytest.mark.usefixtures("direct")
@pytest.mark.parametrize("side", [28, 41])
def test_lenet_is_emitted_as_it_is(side: int) -> None:
    torch.manual_seed(0)
    network = networks.create("lenet5", 7, {"resolution": side}).eval()
    preprocessing = Preprocessing(channels=1, resolution=side, mean=(90.0,), std=(70.0,))
    model = export_graph(network, preprocessing)
    assert [output.name for output in model.graph.output] == [*networks.cuts(network), "logits"]
    assert_equals_eager(network, preprocessing, model)


@pytest.mark.usefixtures("direct")
def test_a_graph_passes_the_check_of_onnx() -> None:
    grey = Preprocessing(channels=1, resolution=28, mean=(90.0,), std=(70.0,))
    network = networks.create("lenet5", 7).eval()
    onnx.checker.check_model(export_graph(network, grey), full_check=True)
    onnx.checker.check_model(classifier_graph(network, grey), full_check=True)


@pytest.mark.usefixtures("direct")
@pytest.mark.parametrize("side", [64, 75])  # an odd side pads otherwise at every stride of 2
def test_lite0_is_emitted_as_it_is(side: int) -> None:
    torch.manual_seed(0)
    network = scrambled(networks.create("efficientnet_lite0", 5))
    preprocessing = Preprocessing(resolution=side)
    model = export_graph(network, preprocessing)
    assert [output.name for output in model.graph.output] == [*networks.cuts(network), "logits"]
    assert "BatchNormalization" not in {node.op_type for node in model.graph.node}
    assert_equals_eager(network, preprocessing, model)


@pytest.mark.usefixtures("direct")
def test_named_cuts_come_in_the_order_asked_and_nothing_behind_them_is_there() -> None:
    network = networks.create("lenet5", 7).eval()
    grey = Preprocessing(channels=1, resolution=28, mean=(90.0,), std=(70.0,))
    model = export_graph(network, grey, ["stage2.block1", "stage1.block1"])
    frozen = FrozenNetwork(model.SerializeToString())
    assert frozen.outputs == ("stage2.block1", "stage1.block1")
    assert [v.shape for v in frozen.run(images(grey), frozen.outputs)] == [(3, 16, 5, 5), (3, 6, 14, 14)]
    assert "Gemm" not in {node.op_type for node in model.graph.node}


def test_an_unknown_cut_is_refused() -> None:
    network = networks.create("lenet5", 7)
    grey = Preprocessing(channels=1, resolution=28, mean=(0.0,), std=(1.0,))
    text = "cut must be one of stage1.block1, stage2.block1, features, logits, got 'stage9'"
    with pytest.raises(UsageError, match=f"^{re.escape(text)}"):
        export_graph(network, grey, ["stage9"])


@pytest.mark.usefixtures("direct")
def test_a_classifier_gives_logits_and_feature_map() -> None:
    network = networks.create("lenet5", 4).eval()
    grey = Preprocessing(channels=1, resolution=28, mean=(90.0,), std=(70.0,))
    frozen = FrozenNetwork(classifier_graph(network, grey).SerializeToString())
    assert frozen.outputs == ("logits", "feature_map")
    pixels = images(grey)
    logits, feature_map = frozen.run(pixels, frozen.outputs)
    x = (torch.from_numpy(pixels).float() - 90).div(70).permute(0, 3, 1, 2)
    with torch.no_grad():
        assert np.allclose(logits, network(x).numpy(), atol=1e-4)
        assert np.allclose(feature_map, network.stages(x).numpy(), atol=1e-4)  # type: ignore[operator]


def test_a_graph_takes_bytes_alone() -> None:
    grey = Preprocessing(channels=1, resolution=28, mean=(0.0,), std=(1.0,))
    model = export_graph(networks.create("lenet5", 2).eval(), grey, ["features"])
    (pixels,) = model.graph.input
    assert pixels.name == "pixels"
    assert pixels.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    frozen = FrozenNetwork(model.SerializeToString())
    with pytest.raises(Exception, match=r"(?i)unexpected input data type"):
        frozen.run(images(grey).astype(np.float32), ["features"])


def convolutional(*layers: nn.Module) -> ConvNet:
    """A network of one stage of one block, pooled, with two classes."""
    block = nn.Sequential(*layers)
    with torch.no_grad():
        channels = block.eval()(torch.zeros(1, 3, 8, 8)).shape[1]
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 2))
    return ConvNet(nn.Identity(), nn.Sequential(nn.Sequential(block)), head)


@pytest.mark.usefixtures("direct")
def test_a_batch_norm_is_folded_by_hand() -> None:
    conv, norm = nn.Conv2d(3, 1, 1, bias=True), nn.BatchNorm2d(1, eps=0.5)
    network = convolutional(conv, norm).eval()
    for tensor, value in (
        (conv.weight, 2.0), (conv.bias, 1.0), (norm.running_mean, 3.0), (norm.running_var, 3.5),
        (norm.weight, 6.0), (norm.bias, 0.25),
    ):  # fmt: skip
        assert tensor is not None
        tensor.data.fill_(value)
    model = export_graph(network, COLOUR, ["stage1.block1"])
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    (node,) = (node for node in model.graph.node if node.op_type == "Conv")
    # gain 6 / sqrt(3.5 + 0.5) = 3; weight 2 * 3; bias (1 - 3) * 3 + 0.25
    assert constants[node.input[1]].ravel().tolist() == [6, 6, 6]
    assert constants[node.input[2]].tolist() == [-5.75]
    assert conv.weight.unique().tolist() == [2.0]  # the network itself stays


@pytest.mark.usefixtures("direct")
@pytest.mark.parametrize("weight", [1e10, 1e16])
def test_a_batch_norm_that_float32_cannot_hold_folded_stays_apart(weight: float) -> None:
    torch.manual_seed(0)
    faint, conv, norm = nn.Conv2d(3, 3, 1, bias=False), nn.Conv2d(3, 2, 1, bias=False), nn.BatchNorm2d(2, eps=0.0)
    network = convolutional(faint, conv, norm, nn.ReLU()).eval()
    faint.weight.data.mul_(1e-33)
    conv.weight.data.fill_(weight)
    assert norm.running_var is not None
    norm.running_var.fill_(1e-30)
    norm.weight.data.fill_(1e8)  # a gain of 1e23; folded into weights of 1e10 it can be held, into those of 1e16 not
    norm.bias.data.copy_(torch.tensor([1.0, 3.0]))
    model = export_graph(network, COLOUR)
    assert_equals_eager(network, COLOUR, model)
    kinds = [node.op_type for node in model.graph.node if "stage1" in node.name]
    assert kinds == ["Conv", "Conv", *["Sub", "Mul", "Add"] * (weight > 1e15), "Relu"]


@pytest.mark.usefixtures("direct")
@pytest.mark.parametrize(
    "layers",
    [
        lambda: [nn.Conv2d(3, 4, 3, stride=2, padding=(1, 0), dilation=2, bias=False), nn.ReLU6()],
        lambda: [nn.Conv2d(3, 6, 3, groups=3), nn.BatchNorm2d(6), nn.Tanh()],
        lambda: [SameConv2d(3, 4, 3, stride=2), nn.Sigmoid()],
        lambda: [SameConv2d(3, 4, 5, stride=3, dilation=2), nn.Hardtanh(-0.3, 0.2)],
        lambda: [nn.Conv2d(3, 4, 1), nn.MaxPool2d(3, 2, padding=1), nn.Identity()],
        lambda: [nn.Conv2d(3, 4, 1), nn.MaxPool2d(2, dilation=2)],
        lambda: [nn.Conv2d(3, 4, 1), nn.MaxPool2d(3, 2, ceil_mode=True)],
        lambda: [nn.Conv2d(3, 4, 1), nn.AvgPool2d(3, 2, padding=1)],
        lambda: [nn.Conv2d(3, 4, 1), nn.AvgPool2d(3, 2, padding=1, count_include_pad=False), nn.Dropout(0.5)],
    ],
)
def test_every_known_layer_equals_torch(layers: Callable[[], list[nn.Module]]) -> None:
    torch.manual_seed(0)
    network = scrambled(convolutional(*layers()))
    assert_equals_eager(network, COLOUR, export_graph(network, COLOUR))


class Shortcuts(nn.Module):
    """Sums, products and ReLU written as calls; one convolution is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.norm = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.a(x)) + x
        y = y + self.norm(self.b(y)) * y
        y += self.a(y)
        return nn.functional.relu(torch.add(y.relu(), x))


@pytest.mark.usefixtures("direct")
def test_shortcuts_are_emitted() -> None:
    torch.manual_seed(0)
    network = scrambled(convolutional(Shortcuts()))
    assert_equals_eager(network, COLOUR, export_graph(network, COLOUR))


@pytest.mark.usefixtures("direct")
def test_a_part_that_does_nothing_is_passed_through() -> None:
    stage = nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    network = ConvNet(nn.Identity(), nn.Sequential(stage), nn.Sequential(nn.Dropout(), nn.Linear(4, 2))).eval()
    model = export_graph(network, COLOUR)
    assert_equals_eager(network, COLOUR, model)
    assert_equals_eager(network, COLOUR, export_graph(network, COLOUR, ["features"]))


@pytest.mark.usefixtures("direct")
def test_a_foreign_module_is_one_part() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5))
    model = export_graph(network, COLOUR)
    assert [output.name for output in model.graph.output] == ["logits"]
    assert_equals_eager(network.eval(), COLOUR, model)


def test_the_network_is_left_in_the_mode_it_was_in() -> None:
    network: Any = convolutional(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).train()
    frozen = network.stages[0][0][1].eval()
    statistics = frozen.running_mean.clone()
    export_graph(network, COLOUR)
    assert network.training
    assert network.stages.training
    assert not frozen.training
    assert torch.equal(frozen.running_mean, statistics)


class Alpha(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.add(x, self.conv(x), alpha=2)


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) if x.shape[2] > 4 else x


UNKNOWN: dict[str, Callable[[], nn.Module]] = {
    "layer": nn.Hardswish, "padding": lambda: nn.Conv2d(3, 4, 3, padding="same"), "argument": Alpha,
    "control flow": Branching, "lonely batch norm": lambda: nn.BatchNorm2d(3),
}  # fmt: skip


@pytest.mark.parametrize("what", UNKNOWN)
def test_what_is_not_known_is_left_to_torch_onnx(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class TakenError(Exception):
        pass

    def taken(*_: object) -> None:
        raise TakenError

    monkeypatch.setattr(graph_module, "_torch_onnx", taken)
    with pytest.raises(TakenError):
        export_graph(scrambled(convolutional(UNKNOWN[what]())), COLOUR)


@pytest.mark.slow
@pytest.mark.parametrize("what", UNKNOWN)
def test_torch_onnx_gives_the_same_contract(what: str) -> None:
    torch.manual_seed(0)
    network = scrambled(convolutional(UNKNOWN[what]()))
    model = export_graph(network, COLOUR)
    assert [output.name for output in model.graph.output] == ["stage1.block1", "features", "logits"]
    assert_equals_eager(network, COLOUR, model)


def test_a_graph_that_is_wrong_does_not_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    real = dict(LAYERS)[nn.Tanh]
    relu = dict(LAYERS)[nn.ReLU]
    layers = tuple((kind, relu if emit is real else emit) for kind, emit in LAYERS)
    monkeypatch.setattr("convwise.runtime.emit.LAYERS", layers)
    torch.manual_seed(0)
    with pytest.raises(
        GateError, match=r"^the exported graph differs from torch at stage1\.block1: .*, allowed 1e-04$"
    ):
        export_graph(convolutional(nn.Conv2d(3, 4, 1), nn.Tanh()), COLOUR)


def test_a_graph_that_gives_no_number_does_not_pass() -> None:
    network: Any = convolutional(nn.Conv2d(3, 4, 1))
    network.head[-1].bias.data.fill_(float("nan"))
    with pytest.raises(GateError, match=r"^the exported graph differs from torch at logits: nan, "):
        export_graph(network, COLOUR)


def test_a_graph_that_cannot_be_loaded_is_an_error() -> None:
    with pytest.raises(DataError, match=r"^the network graph cannot be loaded: "):
        FrozenNetwork(b"not a graph")


class Calls(nn.Module):
    """The calls that the networks of the casebook make."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.linspace(0.5, 1.5, 4)[:, None, None])
        self.conv = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, 10, H / 2, W / 2)."""
        y = self.conv(x)[:, :, ::2, 1::2]
        y = 1.5 * torch.tanh(y * self.gain) - y / 2
        y = F.pad(y, (0, 0, 0, 0, 1, 2))
        y = torch.cat([y[:, [6, 2, 3]], -(y**2)], 1)
        return y - y.unsqueeze(2).sum(1)


@pytest.mark.usefixtures("direct")
def test_slices_gathers_pads_concatenation_and_arithmetic_are_emitted() -> None:
    torch.manual_seed(0)
    network = ConvNet(nn.Identity(), nn.Sequential(nn.Sequential(Calls())), flat_head(10 * 4 * 4)).eval()
    assert_equals_eager(network, COLOUR, export_graph(network, COLOUR))


class Indexes(nn.Module):
    def __init__(self, index: Any) -> None:
        super().__init__()
        self.index = index

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) -> (B, ...)."""
        return x[self.index]


@pytest.mark.usefixtures("direct")
@pytest.mark.parametrize("index", [(slice(None), slice(None)), (slice(None), [2, 0]), (slice(None), slice(1, None, 2))])
def test_an_index_beside_the_batch_is_emitted(index: Any) -> None:
    network = nn.Sequential(Indexes(index), nn.Flatten()).eval()
    assert_equals_eager(network, COLOUR, export_graph(network, COLOUR))


@pytest.mark.parametrize("index", [slice(None, None, 2), (slice(None), 1), (slice(None), [0], [1])])
def test_another_index_is_left_to_torch(index: Any) -> None:
    with pytest.raises(UnsupportedLayerError, match="index"):
        emit_part(Emission(), "part", Indexes(index).eval(), "pixels", torch.zeros(2, 3, 8, 8))


@pytest.mark.usefixtures("direct")
@pytest.mark.parametrize("size", [1, 2, 3, 8, (2, 5)])
def test_adaptive_pooling_takes_cells_of_any_size(size: int | tuple[int, int]) -> None:
    torch.manual_seed(0)
    cells = size * size if isinstance(size, int) else size[0] * size[1]
    network = ConvNet(
        nn.Conv2d(3, 4, 3, padding=1), nn.Sequential(), flat_head(4 * cells, nn.AdaptiveAvgPool2d(size))
    ).eval()
    assert_equals_eager(network, COLOUR, export_graph(network, COLOUR))


@pytest.mark.usefixtures("direct")
@pytest.mark.parametrize("layer", [nn.SiLU(), nn.LocalResponseNorm(5, 5e-4, 0.75, 2.0), nn.LocalResponseNorm(3, 0.1)])
def test_sigmoid_weighted_units_and_response_norm_are_emitted(layer: nn.Module) -> None:
    torch.manual_seed(0)
    network = ConvNet(nn.Conv2d(3, 9, 3, padding=1), nn.Sequential(nn.Sequential(layer)), flat_head(9 * 64)).eval()
    assert_equals_eager(network, COLOUR, export_graph(network, COLOUR))


def flat_head(width: int, *before: nn.Module) -> nn.Sequential:
    return nn.Sequential(*before, nn.Flatten(), nn.Linear(width, 5))

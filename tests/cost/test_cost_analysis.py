"""Params and MACs by closed formulas, one for each kind of layer."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convwise import networks
from convwise.cost import Totals, analyze


class Apply(nn.Module):
    """A function of the input and of one weight."""

    def __init__(self, function: object, *weight: int) -> None:
        super().__init__()
        self.function, self.weight = function, nn.Parameter(torch.zeros(weight))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.function(x, self.weight)  # type: ignore[operator]
        return y


class SelfAttention(nn.Module):
    """Attention over L tokens of `width` numbers."""

    def __init__(self, width: int, heads: int, *, with_weights: bool) -> None:
        super().__init__()
        self.attention, self.with_weights = nn.MultiheadAttention(width, heads, batch_first=True), with_weights

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.attention(x, x, x, need_weights=self.with_weights)[0]
        return y


def test_lenet_is_summed_by_hand() -> None:
    params = (25 * 6 + 6) + (25 * 6 * 16 + 16) + (400 * 120 + 120) + (120 * 84 + 84) + (84 * 10 + 10)
    macs = 28 * 28 * 6 * 25 + 10 * 10 * 16 * 25 * 6 + 400 * 120 + 120 * 84 + 84 * 10
    report = analyze(networks.create("lenet5", 10), (1, 28, 28))
    assert report.totals == Totals(params, macs, 4 * params)
    assert (report.params, report.macs, report.weight_bytes) == report.totals


CONVOLUTIONS = {
    "plain": (nn.Conv2d(3, 8, 3), (3, 6, 5), (4 * 3) * 8 * (3 * 9)),
    "padded": (nn.Conv2d(3, 8, 3, padding=1), (3, 6, 5), (6 * 5) * 8 * (3 * 9)),
    "strided": (nn.Conv2d(6, 8, (3, 5), stride=2, padding=(1, 2)), (6, 8, 10), (4 * 5) * 8 * (6 * 15)),
    "dilated": (nn.Conv2d(4, 6, 3, dilation=2), (4, 7, 7), (3 * 3) * 6 * (4 * 9)),
    "grouped": (nn.Conv2d(6, 12, 3, groups=3, bias=False), (6, 5, 5), (3 * 3) * 12 * (2 * 9)),
    "depthwise": (nn.Conv2d(4, 4, 3, groups=4), (4, 7, 7), (5 * 5) * 4 * 9),
    "pointwise": (nn.Conv2d(16, 8, 1), (16, 4, 4), (4 * 4) * 8 * 16),
    "same": (nn.Conv2d(2, 2, 5, padding="same"), (2, 4, 4), (4 * 4) * 2 * (2 * 25)),
    "transposed": (
        nn.ConvTranspose2d(4, 6, 3, stride=2),
        (4, 5, 5),
        (5 * 5) * 4 * (6 * 9),
    ),  # each input meets a kernel
    "one-dimensional": (nn.Conv1d(3, 5, 4), (3, 10), 7 * 5 * (3 * 4)),
    "three-dimensional": (nn.Conv3d(2, 3, 2), (2, 4, 5, 6), (3 * 4 * 5) * 3 * (2 * 8)),
}
PRODUCTS = {
    "linear": (nn.Linear(10, 7), (10,), 10 * 7),
    "linear without bias": (nn.Linear(10, 7, bias=False), (10,), 10 * 7),
    "linear on tokens": (nn.Linear(10, 7), (5, 10), 5 * 10 * 7),
    "mm": (Apply(lambda x, w: torch.mm(x[0], w), 6, 4), (5, 6), 5 * 6 * 4),
    "matmul": (Apply(torch.matmul, 6, 4), (3, 5, 6), 3 * 5 * 6 * 4),
    "bmm": (Apply(lambda x, w: torch.bmm(x[0], w), 3, 6, 4), (3, 5, 6), 3 * 5 * 6 * 4),
    "baddbmm": (Apply(lambda x, w: torch.baddbmm(x[0, :, :, :1], x[0], w), 3, 6, 4), (3, 5, 6), 3 * 5 * 6 * 4),
    "addmm": (Apply(lambda x, w: torch.addmm(x[0, :, :1], x[0], w), 6, 4), (5, 6), 5 * 6 * 4),
    "einsum": (Apply(lambda x, w: torch.einsum("bchw,cd->bdhw", x, w), 6, 4), (6, 3, 5), 15 * 6 * 4),
    "matrix by vector": (Apply(lambda x, w: x[0] @ w, 6), (5, 6), 5 * 6),
    "addmv": (Apply(lambda x, w: torch.addmv(x[0, :, 0], x[0], w), 6), (5, 6), 5 * 6),
    "dot": (Apply(lambda x, w: torch.dot(x[0], w), 6), (6,), 6),
}
# Projections to queries, keys and values, scores, weighted values, projection of the output: 10 tokens, 8 numbers.
ATTENTION = 10 * 8 * 24 + 10 * 10 * 8 + 10 * 10 * 8 + 10 * 8 * 8
ATTENTIONS = {
    "attention": (SelfAttention(8, 2, with_weights=False), (10, 8), ATTENTION),
    "attention that shows its weights": (SelfAttention(8, 2, with_weights=True), (10, 8), ATTENTION),
    "scaled dot products": (
        Apply(lambda x, w: F.scaled_dot_product_attention(x, x, x + w), 1), (2, 10, 8), 2 * (2 * 10 * 10 * 8)
    ),
    "transformer": (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (10, 8), ATTENTION + 2 * 10 * 8 * 16),
    "keywords": (Apply(lambda x, w: torch.ops.aten.mean.dim(x @ w, dim=[1], keepdim=True), 8, 4), (10, 8), 10 * 8 * 4),
}  # fmt: skip
OTHERS = {
    "norm, activation, pool": (nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2)), (3, 4, 4), 0),
}


class Recurrent(nn.Module):
    """5 steps of 6 numbers through a recurrent layer of 8."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x)[0]
        return y


# A step multiplies the matrices of its gates (4 of an LSTM, 3 of a GRU, 1 of an RNN) by the input and the last state.
RECURRENT = {
    "LSTM": (nn.LSTM(6, 8, batch_first=True), 5 * 4 * 8 * (6 + 8)),
    "LSTM without bias": (nn.LSTM(6, 8, bias=False, batch_first=True), 5 * 4 * 8 * (6 + 8)),
    "LSTM both ways": (nn.LSTM(6, 8, batch_first=True, bidirectional=True), 2 * 5 * 4 * 8 * (6 + 8)),
    "LSTM of three layers": (nn.LSTM(6, 8, 3, batch_first=True), 5 * 4 * 8 * ((6 + 8) + (8 + 8) + (8 + 8))),
    "LSTM of two layers both ways": (
        nn.LSTM(6, 8, 2, batch_first=True, bidirectional=True),
        2 * 5 * 4 * 8 * ((6 + 8) + (2 * 8 + 8)),
    ),
    "LSTM that projects its state": (nn.LSTM(6, 8, proj_size=4, batch_first=True), 5 * (4 * 8 * (6 + 4) + 8 * 4)),
    "GRU": (nn.GRU(6, 8, batch_first=True), 5 * 3 * 8 * (6 + 8)),
    "GRU both ways": (nn.GRU(6, 8, batch_first=True, bidirectional=True), 2 * 5 * 3 * 8 * (6 + 8)),
    "RNN": (nn.RNN(6, 8, batch_first=True), 5 * 8 * (6 + 8)),
    "RNN with ReLU": (nn.RNN(6, 8, 2, nonlinearity="relu", batch_first=True), 5 * 8 * ((6 + 8) + (8 + 8))),
}
RECURRENTS = {name: (Recurrent(layer), (5, 6), macs) for name, (layer, macs) in RECURRENT.items()}
KINDS = CONVOLUTIONS | PRODUCTS | ATTENTIONS | RECURRENTS | OTHERS


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize(("layer", "shape", "macs"), KINDS.values(), ids=KINDS)
def test_macs_are_those_of_the_closed_formula(layer: nn.Module, shape: tuple[int, ...], macs: int, device: str) -> None:
    report = analyze(layer, shape, device=device)
    assert report.macs == sum(found.macs for found in report.layers) == macs
    assert report.params == sum(p.numel() for p in layer.parameters())
    assert report.idle_params == 0


@pytest.mark.parametrize(("layer", "shape", "macs"), CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_the_geometry_of_a_convolution_gives_its_costs_again(
    layer: nn.Module, shape: tuple[int, ...], macs: int
) -> None:
    (found,) = analyze(layer, shape).layers
    if not isinstance(layer, nn.Conv2d):
        assert found.convolution is None
        return
    assert found.convolution is not None
    assert (found.convolution.macs, found.convolution.params) == (macs, found.params)
    assert (layer.out_channels, *found.convolution.output) == found.output_shape
    assert found.convolution.stride == layer.stride


def test_both_devices_report_the_same() -> None:
    for name in ("lenet5", "lenet5_1998", "nin_cifar10", "resnet20"):
        network, shape = networks.create(name), networks.input_shape(name)
        assert replace(analyze(network, shape, device="cpu"), notes=()) == analyze(network, shape)


def test_a_layer_that_runs_twice_counts_twice_and_its_params_once() -> None:
    layer = nn.Linear(4, 4)
    report = analyze(nn.Sequential(layer, layer), (4,))
    assert report.totals == Totals(20, 32, 80)
    assert [(found.name, found.params, found.macs) for found in report.layers] == [("0", 20, 16), ("0", 0, 16)]
    assert [found.moved_bytes for found in report.layers] == [80 + 16 + 16] * 2  # it reads its weights each time


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_a_recurrent_layer_is_one_row_and_torch_stays_as_it_was(device: str) -> None:
    layer, before = nn.LSTM(6, 8, batch_first=True), torch.backends.mkldnn.enabled
    (found,) = analyze(layer, (5, 6), device=device).layers
    assert (found.kind, found.params) == ("LSTM", 4 * 8 * (6 + 8 + 2))
    assert torch.backends.mkldnn.enabled == before
    assert not layer(torch.ones(1, 5, 6))[0].is_meta


def test_an_initial_state_that_is_learnt_belongs_to_the_layer_that_reads_it() -> None:
    class Learnt(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gru, self.state = nn.GRU(6, 8, batch_first=True), nn.Parameter(torch.zeros(1, 1, 8))

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.gru(x, self.state)[0]
            return y

    report = analyze(Learnt(), (5, 6))
    assert (report.params, report.idle_params) == (3 * 8 * (6 + 8 + 2) + 8, 0)


compiled: Callable[[Any], Any] = torch.compile


class Wraps(nn.Module):
    """A compiled child, and a compiled function."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.Sequential(compiled(nn.Sequential(nn.Linear(4, 3))))
        self.twice = compiled(lambda x: x * 2)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.twice(self.stages(x))
        return y


def test_what_was_compiled_counts_as_it_was_written() -> None:
    network = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
    assert analyze(compiled(network), (4,)) == analyze(network, (4,))
    network.compile()
    assert analyze(network, (4,)).macs == 12
    report = analyze(Wraps(), (4,))
    assert [(found.name, found.macs) for found in report.layers] == [("stage1.block1", 12), ("(Wraps)", 0)]


def test_a_weight_that_two_layers_share_counts_once() -> None:
    first, second = nn.Linear(4, 4), nn.Linear(4, 4, bias=False)
    second.weight = first.weight
    report = analyze(nn.Sequential(first, second), (4,))
    assert (report.params, report.macs) == (20, 32)


def test_weights_outside_of_layers_count_where_they_are_read() -> None:
    gain = Apply(lambda x, w: x * w, 3, 1, 1)
    report = analyze(nn.Sequential(nn.ReLU(), gain), (3, 4, 4))
    assert [(found.kind, found.params) for found in report.layers] == [("ReLU", 0), ("Apply", 3)]


def test_weights_that_a_parent_reads_count_there() -> None:
    report = analyze(SelfAttention(8, 2, with_weights=False), (10, 8))  # out_proj is a child that is never called
    (found,) = report.layers
    assert (found.name, found.kind, found.params) == ("attention", "MultiheadAttention", 8 * 24 + 24 + 8 * 8 + 8)


class WithAuxiliary(nn.Module):
    """A head that only training runs."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.aux = nn.Linear(4, 3), nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        return (self.body(x), self.aux(x)) if self.training else self.body(x)


def test_heads_that_inference_does_not_run_are_stated_apart() -> None:
    report = analyze(WithAuxiliary().train(), (4,))
    assert (report.params, report.macs, report.idle_params) == (15, 12, 25)


def test_googlenet_states_both_of_its_counts() -> None:
    network = networks.create("googlenet", arguments={"aux": True})
    report = analyze(network, (3, 224, 224))
    assert report.params == 6_998_552  # facts: GOOG_T, HERE
    assert report.params + report.idle_params == 13_378_280
    assert report.macs == 1_582_671_872


def test_bytes_are_as_stored_and_buffers_do_not_count() -> None:
    found = analyze(nn.Conv2d(1, 2, 1).half(), (1, 3, 3))
    assert (found.params, found.weight_bytes) == (4, 8)
    norm = analyze(nn.BatchNorm2d(2), (2, 3, 3))
    assert (norm.params, norm.weight_bytes) == (4, 16)


def test_what_is_not_counted_is_listed_with_calls_and_elements() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2))
    assert analyze(network, (3, 4, 4)).uncounted == (
        ("aten.relu", 2, 4 * 16 + 4 * 4),
        ("aten.max_pool2d_with_indices", 1, 4 * 4),
    )


def test_views_and_what_evaluation_leaves_out_are_not_listed() -> None:
    network = nn.Sequential(nn.Identity(), nn.Dropout(), nn.Flatten(), nn.Unflatten(1, (3, 4)))
    report = analyze(network, (2, 6))
    assert report.uncounted == ()
    assert [found.kind for found in report.layers] == ["Flatten", "Unflatten"]


def test_what_depends_neither_on_image_nor_weights_may_steer_the_module() -> None:
    layer = Apply(lambda x, w: x * w + torch.arange(5).sum().item(), 3, 1, 1)
    assert analyze(layer, (3, 4, 4)).uncounted == (("aten.mul", 1, 48), ("aten.add", 1, 48))


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_the_module_stays_as_it_was(device: str) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Dropout(), nn.Conv2d(4, 2, 1)).train()
    network[1].eval()  # frozen
    tensors = network.state_dict(keep_vars=True)
    before = {name: tensor.clone() for name, tensor in tensors.items()}
    analyze(network, (3, 4, 4), device=device)
    assert [m.training for m in network] == [True, False, True, True]
    assert network.training
    after = network.state_dict(keep_vars=True)
    assert all(after[name] is tensor and torch.equal(before[name], tensor) for name, tensor in tensors.items())
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in network.modules())
    assert all(p.grad is None for p in network.parameters())
    assert torch.backends.mha.get_fastpath_enabled()


def test_the_module_stays_as_it_was_when_it_cannot_run() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Dropout()).train()
    with pytest.raises(ValueError, match="cannot pass"):
        analyze(network, (1, 4, 4))
    assert all(m.training for m in network.modules())
    assert analyze(network, (3, 4, 4)).macs == 4 * 4 * 4 * 3


def test_a_buffer_that_evaluation_writes_to_stays_as_it_was() -> None:
    class Counting(nn.Module):
        calls: Tensor

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("calls", torch.zeros(1))

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            return x + self.calls

    module = Counting()
    analyze(module, (4,))
    assert not module.calls.is_meta
    assert module.calls.item() == 0


def test_a_formula_that_somebody_registered_with_torch_counts() -> None:
    program = """
import torch
from torch.utils.flop_counter import register_flop_formula

@torch.library.custom_op("own::triple", mutates_args=())
def triple(x: torch.Tensor) -> torch.Tensor:
    return 3 * x

triple.register_fake(torch.empty_like)

@register_flop_formula(torch.ops.own.triple)
def formula(shape, *, out_shape=None):
    return 2 * shape.numel()

class Triple(torch.nn.Module):
    def forward(self, x):
        return triple(x)

from convwise.cost import analyze
assert analyze(Triple(), (5, 7)).macs == 35
"""
    subprocess.run([sys.executable, "-c", program], check=True)

"""LeNet-5 as printed and as taught: every layer of Figure 2, Table I, and the pictures that the output layer holds."""

import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from convwise import networks
from convwise.errors import UsageError
from convwise.networks.blocks import ConvNet
from convwise.networks.lenet import RadialBasis, ScaledTanh, SubSampling, TableConv2d, lenet5, lenet5_1998

from .helpers import params

# Table I of the paper: which maps of C3 (columns, 0 to 15) see a map of S2 (rows, 0 to 5); LECUN98_b
TABLE_1 = (
    "X...XXX..XXXX.XX",
    "XX...XXX..XXXX.X",
    "XXX...XXX..X.XXX",
    ".XXX..XXXX..X.XX",
    "..XXX..XXXX.XX.X",
    "...XXX..XXXX.XXX",
)
SEVEN = (
    ".......",
    "#######",
    "#.....#",
    ".....#.",
    ".....#.",
    "....#..",
    "....#..",
    "...#...",
    "...#...",
    "...#...",
    ".......",
    ".......",
)
Builder = Callable[..., ConvNet]
each_form = pytest.mark.parametrize("build", [lenet5, lenet5_1998])


def macs(network: nn.Module, channels: int, side: int) -> int:
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, channels, side, side))
    total: int = counter.get_total_flops()
    return total // 2


@pytest.mark.parametrize(
    ("name", "params_", "macs_"),
    # facts: ref/lenet5_1998_rbf_fixed@32, ref/lenet_modern_28pad2@28
    [("lenet5_1998", 60_000, 325_680), ("lenet5", 61_706, 416_520)],
)
def test_counts_are_those_of_the_paper_and_of_the_casebook(name: str, params_: int, macs_: int) -> None:
    entry, network = networks.describe(name), networks.create(name)
    assert (params(network), macs(network, entry.channels, entry.resolution)) == (params_, macs_)
    assert (entry.params, entry.macs) == (params_, macs_)


def test_each_layer_of_1998_has_its_printed_number_of_params() -> None:
    network = lenet5_1998()
    first, second, third = network.stages
    layers = [
        first.get_submodule("0.conv"), first.get_submodule("0.pool"),
        second.get_submodule("0.conv"), second.get_submodule("0.pool"),
        third, network.head[1], network.head[-1],
    ]  # fmt: skip
    # section II.B, facts lenet5.stages: C1, S2, C3, S4, C5, F6, output
    assert [params(layer) for layer in layers] == [156, 12, 1516, 32, 48_120, 10_164, 0]


def test_the_connections_of_the_paper_are_our_macs_and_what_the_casebook_says_is_not_counted() -> None:
    biases = 6 * 28 * 28 + 16 * 10 * 10 + 120 + 84
    sub_sampling = (4 + 1) * 6 * 14 * 14 + (4 + 1) * 16 * 5 * 5
    radial_basis = 10 * 84
    assert (biases, sub_sampling, radial_basis) == (6508, 7880, 840)
    assert macs(lenet5_1998(), 1, 32) + biases + sub_sampling + radial_basis == 340_908
    entry = networks.describe("lenet5_1998")
    assert entry.printed is not None
    assert entry.printed.macs == "340,908 connections"
    assert all(f"({number:,})" in entry.difference for number in (biases, sub_sampling, radial_basis))


def test_the_modern_form_differs_in_params_by_what_the_casebook_says() -> None:
    more_maps, softmax, no_pooling = 900, 850, -44
    assert more_maps == (16 * 6 - 60) * 25
    assert softmax == (84 + 1) * 10
    assert no_pooling == -(12 + 32)
    assert 60_000 + more_maps + softmax + no_pooling == params(lenet5())
    difference = networks.describe("lenet5").difference
    assert all(f"{number:+}" in difference for number in (more_maps, softmax, no_pooling))


@pytest.mark.parametrize(("build", "side"), [(lenet5, 28), (lenet5_1998, 32)])
def test_the_maps_have_28_14_10_and_5_pixels_a_side(build: Builder, side: int) -> None:
    network = build()
    seen: list[tuple[int, ...]] = []

    def note(_module: nn.Module, _inputs: object, y: Tensor) -> None:
        seen.append(tuple(y.shape[1:]))

    for stage in network.stages[:2]:
        for layer in ("0.conv", "0.pool"):
            stage.get_submodule(layer).register_forward_hook(note)
    network(torch.zeros(1, 1, side, side))
    assert seen == [(6, 28, 28), (6, 14, 14), (16, 10, 10), (16, 5, 5)]


def test_c5_of_1998_is_a_convolution_that_spans_its_input() -> None:
    assert lenet5_1998().stages[2](torch.zeros(1, 16, 5, 5)).shape == (1, 120, 1, 1)


def test_a_map_of_c3_sees_those_of_table_1_and_no_others() -> None:
    torch.manual_seed(0)
    conv, x = TableConv2d(), torch.randn(1, 6, 5, 5)
    for channel, row in enumerate(TABLE_1):
        other = x.clone()
        other[:, channel] += 1
        changed = (conv(other) != conv(x)).flatten(2).any(-1)[0]
        assert "".join("X" if c else "." for c in changed) == row


def test_c3_equals_a_dense_convolution_with_zeros_where_table_1_has_none() -> None:
    torch.manual_seed(0)
    conv, x = TableConv2d(), torch.randn(2, 6, 9, 8)
    weight = torch.zeros(16, 6, 5, 5)
    kernels = [kernel for group in conv.convs for kernel in group.get_parameter("weight")]
    biases = torch.cat([group.get_parameter("bias") for group in conv.convs])
    for i, kernel in enumerate(kernels):
        weight[i, [channel for channel, row in enumerate(TABLE_1) if row[i] == "X"]] = kernel.detach()
    torch.testing.assert_close(conv(x), F.conv2d(x, weight, biases))


def test_sub_sampling_is_the_sum_times_a_gain_plus_a_bias_then_activated() -> None:
    layer = SubSampling(2, nn.ReLU)
    layer.gain.data = torch.tensor([2.0, -1.0]).reshape(2, 1, 1)
    layer.bias.data = torch.tensor([-5.0, 30.0]).reshape(2, 1, 1)
    one = torch.tensor([[1.0, 2, 0, 0], [3, 4, 0, 1]])
    # sums 10 and 1: 2 * 10 - 5, 2 * 1 - 5 < 0; 30 - 10, 30 - 1
    assert layer(torch.stack([one, one])[None]).tolist() == [[[[15, 0]], [[20, 29]]]]


def test_sub_sampling_starts_as_a_mean() -> None:
    x = torch.rand(1, 3, 4, 6)
    torch.testing.assert_close(SubSampling(3, nn.Identity)(x), F.avg_pool2d(x, 2))


def test_the_scaled_tanh_is_1_at_1_and_saturates_at_its_amplitude() -> None:
    y = ScaledTanh()(torch.tensor([-100.0, -1, 0, 1, 100]))
    torch.testing.assert_close(y, torch.tensor([-1.7159, -1, 0, 1, 1.7159]), rtol=0, atol=1e-4)


def test_a_centre_is_the_picture_of_its_digit_with_ink_at_1() -> None:
    picture = RadialBasis(10).centres[7].reshape(12, 7)
    assert tuple("".join("#" if pixel == 1 else "." for pixel in row) for row in picture) == SEVEN
    assert set(RadialBasis(10).centres.flatten().tolist()) == {-1, 1}


def test_no_two_digits_have_the_same_picture() -> None:
    centres = RadialBasis(10).centres
    different = (centres[:, None] != centres).sum(-1) + 84 * torch.eye(10)
    assert different.min() >= 5  # 3 and 8 by five pixels


def test_logits_are_minus_the_squared_distance() -> None:
    layer = RadialBasis(10)
    assert layer(torch.zeros(1, 84)).tolist() == [[-84] * 10]
    own = layer(layer.centres)
    # a pixel that differs is 2 away
    torch.testing.assert_close(own, -4.0 * (layer.centres[:, None] != layer.centres).sum(-1))
    assert own.argmax(-1).tolist() == list(range(10))
    x = torch.zeros(1, 84)
    x[0, 0] = 3  # no digit has ink in the corner: (3 + 1)^2 for 1
    assert layer(x).tolist() == [[-83 - 16] * 10]


def test_classes_beyond_the_digits_have_random_centres_that_never_change() -> None:
    torch.manual_seed(0)
    many = RadialBasis(200).centres
    torch.manual_seed(1)
    assert torch.equal(RadialBasis(200).centres, many)
    assert torch.equal(RadialBasis(12).centres, many[:12])
    assert torch.equal(RadialBasis(3).centres, many[:3])
    drawn = many[10:]
    assert set(drawn.flatten().tolist()) == {-1, 1}
    # four deviations of the mean of 190 x 84 draws, and of the 84 of the least even code of 190
    assert abs(drawn.mean().item()) < 4 / (190 * 84) ** 0.5
    assert drawn.mean(-1).abs().max() < 4.5 / 84**0.5
    assert (drawn[:, None] != drawn).sum(-1).add(84 * torch.eye(190)).min() > 15


def test_a_new_number_of_classes_keeps_everything_but_the_centres() -> None:
    network = lenet5_1998().double()
    before = {name: p.clone() for name, p in network.named_parameters()}
    networks.replace_head(network, 12)
    fresh = network.head[-1]
    assert isinstance(fresh, RadialBasis)
    assert (fresh.centres.shape, fresh.centres.dtype) == ((12, 84), torch.float64)
    assert all(torch.equal(p, before[name]) for name, p in network.named_parameters())
    with torch.device("meta"):
        network = lenet5_1998()
    networks.replace_head(network, 12)
    assert network.get_buffer("head.3.centres").device.type == "meta"


def test_the_centres_are_saved_and_not_trained() -> None:
    network = lenet5_1998()
    assert "head.3.centres" in network.state_dict()
    assert "head.3.centres" not in dict(network.named_parameters())


@each_form
@pytest.mark.parametrize(
    ("activation", "kind"), [("tanh", ScaledTanh), ("sigmoid", nn.Sigmoid), ("relu", nn.ReLU), (None, None)]
)
def test_every_activation_is_the_one_asked_for(
    build: Builder, activation: str | None, kind: type[nn.Module] | None
) -> None:
    network = build() if activation is None else build(activation=activation)
    expected = kind or {lenet5: nn.ReLU, lenet5_1998: ScaledTanh}[build]
    found = [type(m) for m in network.modules() if isinstance(m, (ScaledTanh, nn.Sigmoid, nn.ReLU))]
    # C1, C3, C5 and F6; in 1998 after S2 and S4 too (section II.B)
    assert found == [expected] * (6 if build is lenet5_1998 else 4)


@each_form
@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu"])
def test_every_parameter_gets_a_gradient_with_every_activation(build: Builder, activation: str) -> None:
    torch.manual_seed(0)
    network = build(5, activation=activation)
    side = 28 if build is lenet5 else 32
    torch.autograd.backward(F.cross_entropy(network(torch.randn(4, 1, side, side)), torch.tensor([0, 1, 2, 3])))
    assert [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


@each_form
@pytest.mark.parametrize("side", [16, 27, 28, 32, 45])
def test_both_forms_take_other_sides_and_colour(build: Builder, side: int) -> None:
    network = build(4, 3, resolution=side)
    assert network(torch.randn(2, 3, side, side)).shape == (2, 4)


def test_the_network_of_1998_can_be_traced() -> None:
    torch.manual_seed(0)
    network, x = lenet5_1998().eval(), torch.randn(3, 1, 32, 32)
    assert torch.equal(fx.symbolic_trace(network)(x), network(x))


@pytest.mark.parametrize(("build", "least"), [(lenet5, 12), (lenet5_1998, 16)])
def test_a_side_that_leaves_nothing_is_refused(build: Builder, least: int) -> None:
    build(resolution=least)
    sentence = f"resolution of {build.__name__} must be at least {least} pixels, got {least - 1}"
    with pytest.raises(UsageError, match=f"^{re.escape(sentence)}$"):
        build(resolution=least - 1)


@each_form
def test_an_unknown_activation_names_the_nearest(build: Builder) -> None:
    sentence = f"activation of {build.__name__} must be one of tanh, sigmoid, relu, got 'Relu'; did you mean 'relu'?"
    with pytest.raises(UsageError, match=f"^{re.escape(sentence)}$"):
        build(activation="Relu")

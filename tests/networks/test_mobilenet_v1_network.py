"""MobileNet: the paper's tables to the unit, its three forms, and the networks that weights are published for."""

from fractions import Fraction

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from convwise import networks
from convwise.networks.blocks import SameConv2d
from convwise.networks.mobilenet_v1 import mobilenet_v1

from .helpers import output_shapes, params, shaken

# fmt: off
# params, MACs at 224: the table, Tables 4 and 5 of the paper rounded
COUNTS = {
    "mobilenet_v1":         ( 4_231_976,   568_740_352),
    "mobilenet_v1_conv":    (29_294_088, 4_867_293_184),
    "mobilenet_v1_shallow": ( 2_887_976,   307_323_392),
}
# width -> params, MACs at 224, 192, 160, 128: counted in timm 1.0.31; Tables 6, 7 and 10 of the paper rounded
GRID = {
    1.0:  (4_231_976, (568_740_352, 418_121_728, 290_675_200, 186_400_768)),
    0.75: (2_585_560, (325_400_448, 239_273_472, 166_396_800, 106_770_432)),
    0.5:  (1_331_592, (149_497_088, 109_970_432,  76_524_800,  49_160_192)),
    0.25: (  470_072, ( 41_030_272,  30_212_608,  21_059_200,  13_570_048)),
}
# fmt: on
RESOLUTIONS = (224, 192, 160, 128)
each_form = pytest.mark.parametrize("name", COUNTS)


def meta(name: str = "mobilenet_v1", **arguments: object) -> nn.Module:
    """The network without numbers."""
    with torch.device("meta"):
        return networks.create(name, arguments=arguments).eval()


def macs(module: nn.Module, *shape: int) -> int:
    """Multiply-accumulates for an input of this shape."""
    with FlopCounterMode(display=False) as counter:
        module(torch.empty(shape, device="meta"))
    return int(counter.get_total_flops()) // 2


@each_form
def test_counts_match_the_paper_and_the_entry(name: str) -> None:
    network, entry = meta(name), networks.describe(name)
    assert (params(network), macs(network, 1, 3, 224, 224)) == COUNTS[name] == (entry.params, entry.macs)


@pytest.mark.parametrize("width", GRID)
def test_the_grid_of_widths_and_resolutions_has_the_counts_of_the_publications(width: float) -> None:
    network = meta(width=width)
    assert (params(network), tuple(macs(network, 1, 3, side, side) for side in RESOLUTIONS)) == GRID[width]


def test_the_maps_have_the_sizes_of_table_1() -> None:
    assert output_shapes(meta(), 224) == [
        (32, 112, 112), (64, 112, 112), (128, 56, 56), (128, 56, 56), (256, 28, 28), (256, 28, 28), (512, 14, 14),
        (512, 14, 14), (1024, 7, 7), (1024, 7, 7),
    ]  # fmt: skip


@each_form
def test_every_form_ends_in_the_same_map(name: str) -> None:
    assert output_shapes(meta(name), 224)[-1] == (1024, 7, 7)


@pytest.mark.parametrize(("stage", "in_channels", "out_channels"), [(0, 32, 64), (6, 512, 512)])
def test_a_separable_block_costs_its_full_twin_times_1_over_channels_plus_1_over_9(
    stage: int, in_channels: int, out_channels: int
) -> None:
    separable, full = (
        macs(meta(name).get_submodule(f"stages.{stage}.0"), 1, in_channels, 14, 14)
        for name in ("mobilenet_v1", "mobilenet_v1_conv")
    )
    assert Fraction(separable, full) == Fraction(1, out_channels) + Fraction(1, 9)


def test_one_block_costs_what_table_3_says() -> None:
    full, separable = (meta(name).get_submodule("stages.6.0") for name in ("mobilenet_v1_conv", "mobilenet_v1"))
    thin = meta(width=0.75).get_submodule("stages.6.0")
    # the paper: 462, 52.3, 29.6 and 15.1 M; in closed form
    assert macs(full, 1, 512, 14, 14) == 14 * 14 * 9 * 512 * 512 == 462_422_016
    assert macs(separable, 1, 512, 14, 14) == 14 * 14 * (9 * 512 + 512 * 512) == 52_283_392
    assert macs(thin, 1, 384, 14, 14) == 14 * 14 * (9 * 384 + 384 * 384) == 29_578_752
    assert macs(thin, 1, 384, 10, 10) == 10 * 10 * (9 * 384 + 384 * 384) == 15_091_200


def test_the_pointwise_layers_hold_the_share_that_table_2_says() -> None:
    network = meta()
    with FlopCounterMode(display=False) as counter:
        network(torch.empty(1, 3, 224, 224, device="meta"))
    pointwise = [name for name, _ in network.named_modules() if name.endswith("pointwise.conv")]
    cost = sum(sum(counter.get_flop_counts()[f"{type(network).__name__}.{name}"].values()) for name in pointwise)
    assert round(100 * cost / counter.get_total_flops(), 2) == 94.86
    # Table 2 leaves batch norm out: 2 * 10,944 params
    held = sum(params(network.get_submodule(name)) for name in pointwise)
    assert round(100 * held / (4_231_976 - 21_888), 1) == 74.6


def test_the_shallow_form_is_five_blocks_of_512_channels_short() -> None:
    block = 9 * 512 + 512 * 512 + 2 * 2 * 512
    assert params(meta()) - params(meta("mobilenet_v1_shallow")) == 5 * block
    assert len(networks.cuts(meta())) - len(networks.cuts(meta("mobilenet_v1_shallow"))) == 5


def test_channels_round_down_and_never_below_8() -> None:
    # the authors' max(int(channels * width), 8)
    assert [shape[0] for shape in output_shapes(meta(width=0.35), 32)] == [
        11, 22, 44, 44, 89, 89, 179, 179, 358, 358,
    ]  # fmt: skip
    assert [shape[0] for shape in output_shapes(meta(width=1 / 32), 32)] == [8, 8, 8, 8, 8, 8, 16, 16, 32, 32]


def test_the_paper_has_relu_and_weights_are_published_with_relu6() -> None:
    for relu6, kind in ((False, nn.ReLU), (True, nn.ReLU6)):
        acts = [m for name, m in meta(relu6=relu6).named_modules() if name.endswith(".act")]
        assert {type(act) for act in acts} == {kind}
        assert len(acts) == 27


def test_padding_and_eps_follow_their_arguments() -> None:
    for same, eps in ((False, 1e-5), (True, 1e-3)):
        modules = list(meta(same=same, eps=eps).modules())
        assert {isinstance(m, SameConv2d) for m in modules if isinstance(m, nn.Conv2d)} == {same}
        assert {m.eps for m in modules if isinstance(m, nn.BatchNorm2d)} == {eps}


@pytest.mark.parametrize("side", [64, 75])
@pytest.mark.parametrize(("same", "eps"), [(False, 1e-5), (True, 1e-3)])
@torch.no_grad()
def test_the_logits_are_those_of_timm_with_the_same_weights(side: int, same: bool, eps: float) -> None:
    torch.manual_seed(0)
    theirs = shaken(timm.create_model("mobilenetv1_100", pad_type="same" if same else "", bn_eps=eps))
    ours = mobilenet_v1(relu6=True, same=same, eps=eps).double().eval()
    ours.load_state_dict(dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True)))
    x = torch.randn(2, 3, side, side, dtype=torch.float64)
    expected: Tensor = theirs(x)
    torch.testing.assert_close(ours(x), expected, rtol=1e-9, atol=1e-9 * float(expected.abs().max()))


@each_form
def test_every_parameter_gets_a_gradient(name: str) -> None:
    torch.manual_seed(0)
    network = networks.create(name, 5, {"width": 0.25})
    torch.autograd.backward(F.cross_entropy(network(torch.randn(4, 3, 64, 64)), torch.tensor([0, 1, 2, 3])))
    assert [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


@each_form
def test_the_smallest_input_is_the_smallest(name: str) -> None:
    smallest = networks.describe(name).smallest
    assert meta(name)(torch.empty(1, 3, smallest, smallest, device="meta")).shape == (1, 1000)
    with pytest.raises(RuntimeError, match=r"Kernel size"):
        meta(name)(torch.empty(1, 3, smallest - 1, smallest - 1, device="meta"))


def test_grey_images_need_a_network_of_one_channel() -> None:
    assert meta(in_channels=1)(torch.empty(1, 1, 32, 32, device="meta")).shape == (1, 1000)

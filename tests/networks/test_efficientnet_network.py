"""EfficientNet: both published families to the unit, compound scaling, squeeze-and-excitation, TensorFlow's padding."""

import math
import re
from functools import partial

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from convwise import networks
from convwise.errors import UsageError
from convwise.networks.blocks import ConvNormAct, InvertedResidual, SameConv2d, StochasticDepth
from convwise.networks.casebook.efficientnet import compound
from convwise.networks.efficientnet import SqueezeExcite, efficientnet, efficientnet_b, efficientnet_lite

from .helpers import output_shapes, shaken

# fmt: off
# resolution, dropout, params, MACs: coefficients of the authors' builders; counts of torchvision 0.29.1 and timm 1.0.31
COUNTS = {
    "efficientnet_b0":    (224, 0.2,  5_288_548,    385_814_752),
    "efficientnet_b1":    (240, 0.2,  7_794_184,    686_802_832),
    "efficientnet_b2":    (260, 0.3,  9_109_994,    993_561_872),
    "efficientnet_b3":    (300, 0.3, 12_233_232,  1_827_141_392),
    "efficientnet_b4":    (380, 0.4, 19_341_616,  4_393_771_024),
    "efficientnet_b5":    (456, 0.4, 30_389_784, 10_266_384_752),
    "efficientnet_b6":    (528, 0.5, 43_040_704, 19_067_593_536),
    "efficientnet_b7":    (600, 0.5, 66_347_960, 37_745_884_192),
    "efficientnet":       (224, 0.2,  5_288_548,    385_814_752),
    "efficientnet_lite0": (224, 0.2,  4_652_008,    385_187_552),
    "efficientnet_lite1": (240, 0.2,  5_416_680,    600_185_232),
    "efficientnet_lite2": (260, 0.3,  6_092_072,    859_736_272),
    "efficientnet_lite3": (280, 0.3,  8_197_096,  1_383_321_872),
    "efficientnet_lite4": (300, 0.3, 13_006_568,  2_553_034_336),
}
# output channels of stem and stages, blocks of each stage: torchvision and timm
LAYOUTS = {
    "efficientnet_b0":    ((32, 16, 24, 40,  80, 112, 192, 320, 1280), (1, 2, 2,  3,  3,  4, 1, 1)),
    "efficientnet_b1":    ((32, 16, 24, 40,  80, 112, 192, 320, 1280), (2, 3, 3,  4,  4,  5, 2, 1)),
    "efficientnet_b2":    ((32, 16, 24, 48,  88, 120, 208, 352, 1408), (2, 3, 3,  4,  4,  5, 2, 1)),
    "efficientnet_b3":    ((40, 24, 32, 48,  96, 136, 232, 384, 1536), (2, 3, 3,  5,  5,  6, 2, 1)),
    "efficientnet_b4":    ((48, 24, 32, 56, 112, 160, 272, 448, 1792), (2, 4, 4,  6,  6,  8, 2, 1)),
    "efficientnet_b5":    ((48, 24, 40, 64, 128, 176, 304, 512, 2048), (3, 5, 5,  7,  7,  9, 3, 1)),
    "efficientnet_b6":    ((56, 32, 40, 72, 144, 200, 344, 576, 2304), (3, 6, 6,  8,  8, 11, 3, 1)),
    "efficientnet_b7":    ((64, 32, 48, 80, 160, 224, 384, 640, 2560), (4, 7, 7, 10, 10, 13, 4, 1)),
    "efficientnet_lite0": ((32, 16, 24, 40,  80, 112, 192, 320, 1280), (1, 2, 2,  3,  3,  4, 1, 1)),
    "efficientnet_lite1": ((32, 16, 24, 40,  80, 112, 192, 320, 1280), (1, 3, 3,  4,  4,  5, 1, 1)),
    "efficientnet_lite2": ((32, 16, 24, 48,  88, 120, 208, 352, 1280), (1, 3, 3,  4,  4,  5, 1, 1)),
    "efficientnet_lite3": ((32, 24, 32, 48,  96, 136, 232, 384, 1280), (1, 3, 3,  5,  5,  6, 1, 1)),
    "efficientnet_lite4": ((32, 24, 32, 56, 112, 160, 272, 448, 1280), (1, 4, 4,  6,  6,  8, 1, 1)),
}
# phi -> depth, width, side before rounding: 1.2, 1.1 and 1.15 to the power of phi, the last times 224
COMPOUND = {
    1: (1.2,    1.1,   257.6),
    2: (1.44,   1.21,  296.2),
    3: (1.728,  1.331, 340.7),
    4: (2.0736, 1.464, 391.8),
    5: (2.488,  1.611, 450.5),
    6: (2.986,  1.772, 518.1),
    7: (3.583,  1.949, 595.8),
}
# fmt: on
UNITS = {"M": 1e6, "B": 1e9}


def meta(name: str, **arguments: object) -> nn.Module:
    """The network without numbers."""
    with torch.device("meta"):
        return networks.create(name, arguments=arguments).eval()


@pytest.mark.parametrize("name", COUNTS)
def test_counts_match_the_publication_and_the_entry(name: str) -> None:
    network, entry = meta(name), networks.describe(name)
    side, dropout, params, macs = COUNTS[name]
    with FlopCounterMode(display=False) as counter:
        network(torch.empty(1, 3, side, side, device="meta"))
    assert (sum(p.numel() for p in network.parameters()), counter.get_total_flops() // 2) == (params, macs)
    assert (entry.resolution, entry.params, entry.macs) == (side, params, macs)
    assert [m.p for m in network.modules() if isinstance(m, nn.Dropout)] == [dropout]


@pytest.mark.parametrize("name", COUNTS)
def test_an_entry_says_why_print_and_count_differ_where_they_do_beyond_rounding(name: str) -> None:
    entry, explains = networks.describe(name), True
    if entry.printed is not None:
        for printed, counted in ((entry.printed.params, entry.params), (entry.printed.macs, entry.macs)):
            assert printed is not None
            number, unit = printed.split()
            digits = len(number.partition(".")[2])
            explains &= float(number) == round(counted / UNITS[unit], digits)
    assert (entry.difference == "") == explains


@pytest.mark.parametrize("name", [name for name in COUNTS if networks.describe(name).difference])
def test_a_difference_is_told_of_one_network_in_per_cent_of_the_count(name: str) -> None:
    entry = networks.describe(name)
    assert entry.printed is not None
    what, percent, way = re.findall(r"^(MACs|params) are printed ([\d.]+) % (higher|lower);", entry.difference)[0]
    printed, counted = {
        "params": (entry.printed.params, entry.params),
        "MACs": (entry.printed.macs, entry.macs),
    }[what]
    assert printed is not None
    number, unit = printed.split()
    off = 100 * (float(number) * UNITS[unit] / counted - 1)
    assert (f"{abs(off):.1f}", "higher" if off > 0 else "lower") == (percent, way)


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_row_has_its_channels_and_blocks(name: str) -> None:
    network, (channels, blocks) = meta(name), LAYOUTS[name]
    assert tuple(shape[0] for shape in output_shapes(network, 32)) == channels
    assert tuple(len(list(stage.children())) for stage in network.get_submodule("stages").children()) == blocks


def test_the_maps_of_b0_have_the_sizes_of_table_1() -> None:
    assert output_shapes(meta("efficientnet_b0"), 224) == [
        (32, 112, 112), (16, 112, 112), (24, 56, 56), (40, 28, 28), (80, 14, 14), (112, 14, 14), (192, 7, 7),
        (320, 7, 7), (1280, 7, 7),
    ]  # fmt: skip


def test_odd_sides_round_up() -> None:
    sides = [shape[1] for shape in output_shapes(meta("efficientnet_b2"), 260)]
    assert sides == [130, 130, 65, 33, 17, 17, 9, 9, 9]


def test_b0_squeezes_to_a_quarter_of_the_input_of_each_block() -> None:
    # torchvision's fc1, block by block
    squeezed = [8, 4, 6, 6, 10, 10, 20, 20, 20, 28, 28, 28, 48, 48, 48, 48]
    gates = [m for m in meta("efficientnet_b0").modules() if isinstance(m, SqueezeExcite)]
    assert [gate.get_parameter("share.squeeze.bias").numel() for gate in gates] == squeezed


def test_lite_has_no_squeeze_and_excitation_and_no_silu() -> None:
    for name, gates, act in (("efficientnet_b0", 16, nn.SiLU), ("efficientnet_lite0", 0, nn.ReLU6)):
        modules = list(meta(name).modules())
        assert sum(isinstance(m, SqueezeExcite) for m in modules) == gates
        assert {type(m.act) for m in modules if isinstance(m, ConvNormAct) and hasattr(m, "act")} == {act}


def test_squeeze_and_excitation_by_hand() -> None:
    gate = SqueezeExcite(2, 1)
    for name, numbers in (("squeeze.weight", [0.5, 0.25]), ("squeeze.bias", [-1.0]), ("excite.weight", [2.0, -2.0])):
        parameter = gate.get_parameter(f"share.{name}")
        parameter.data = torch.tensor(numbers).reshape(parameter.shape)
    nn.init.zeros_(gate.get_parameter("share.excite.bias"))
    x = torch.tensor([[[[1.0, 3.0]], [[8.0, 0.0]]]])  # means 2 and 4, of which 0.5 * 2 + 0.25 * 4 - 1 = 1 is squeezed
    excited = 2 / (1 + math.exp(-1))  # twice SiLU(1)
    first, second = 1 / (1 + math.exp(-excited)), 1 / (1 + math.exp(excited))
    expected = torch.tensor([[[[first, 3 * first]], [[8 * second, 0.0]]]])
    torch.testing.assert_close(gate(x), expected)


def test_branches_drop_the_more_often_the_deeper_they_are() -> None:
    network = meta("efficientnet_b0", stochastic_depth=0.32)
    drops = {name: m.drop for name, m in network.named_modules() if isinstance(m, StochasticDepth)}
    # blocks 2, 4, 6, 7, 9, 10, 12, 13 and 14 of 16, counted from 0, are those with a shortcut
    assert list(drops.values()) == pytest.approx([0.32 * i / 16 for i in (2, 4, 6, 7, 9, 10, 12, 13, 14)])
    assert next(iter(drops)) == "stages.1.1.branch.drop"


def test_the_default_is_the_authors_and_weights_trained_elsewhere_have_their_arguments() -> None:
    for name in ("efficientnet_b0", "efficientnet", "efficientnet_lite0"):
        for arguments, same, eps in (({}, True, 1e-3), ({"same": False, "eps": 1e-5}, False, 1e-5)):
            modules = list(meta(name, **arguments).modules())
            spatial = [m for m in modules if isinstance(m, nn.Conv2d) and m.kernel_size != (1, 1)]
            assert {isinstance(m, SameConv2d) for m in spatial} == {same}
            assert {m.eps for m in modules if isinstance(m, nn.BatchNorm2d)} == {eps}


@pytest.mark.parametrize("phi", COMPOUND)
def test_compound_scaling_follows_equation_3(phi: int) -> None:
    depth, width, side = COMPOUND[phi]
    scaling = compound(phi)
    assert scaling.depth == pytest.approx(depth, abs=5e-4)
    assert scaling.width == pytest.approx(width, abs=5e-4)
    assert scaling.resolution == pytest.approx(side, abs=0.55)


def test_compound_scaling_starts_at_b0_and_drops_as_much_as_b7_at_7() -> None:
    assert compound(0) == (1.0, 1.0, 224, 0.2)
    assert compound(7).dropout == pytest.approx(0.5)
    assert compound(-10).dropout == 0


def test_at_phi_1_compound_scaling_is_b2_at_another_resolution() -> None:
    # both 1.1 wide and 1.2 deep
    assert sum(p.numel() for p in meta("efficientnet", phi=1).parameters()) == 9_109_994
    assert compound(1).resolution == 258


def test_a_negative_phi_makes_a_network_below_b0() -> None:
    # 16 blocks and 32 ... 1280 channels become ceil(L / 1.2) and C / 1.1, to multiples of 8
    network = meta("efficientnet", phi=-1)
    assert [shape[0] for shape in output_shapes(network, 195)] == [32, 16, 24, 40, 72, 104, 176, 288, 1160]
    assert sum(isinstance(m, InvertedResidual) for m in network.modules()) == 16
    assert sum(isinstance(m, InvertedResidual) for m in meta("efficientnet", phi=-4).modules()) == 10


@pytest.mark.parametrize("side", [64, 75])
@pytest.mark.parametrize(
    ("build", "reference"),
    [
        (partial(efficientnet_b, number=0, same=False, eps=1e-5), torchvision.models.efficientnet_b0),
        (partial(efficientnet_b, number=1, same=False, eps=1e-5), partial(timm.create_model, "efficientnet_b1")),
        (partial(efficientnet_b, number=0), partial(timm.create_model, "tf_efficientnet_b0")),
        (partial(efficientnet_lite, number=0, same=False, eps=1e-5), partial(timm.create_model, "efficientnet_lite0")),
        (partial(efficientnet_lite, number=1), partial(timm.create_model, "tf_efficientnet_lite1")),
    ],
    ids=["torchvision-b0", "timm-b1", "tf-b0", "timm-lite0", "tf-lite1"],
)
@torch.no_grad()
def test_the_logits_are_those_of_other_code_with_the_same_weights(
    build: partial[nn.Module], reference: partial[nn.Module], side: int
) -> None:
    torch.manual_seed(0)
    theirs, ours = shaken(reference()), build().double().eval()
    ours.load_state_dict(dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True)))
    x = torch.randn(2, 3, side, side, dtype=torch.float64)
    expected: Tensor = theirs(x)
    torch.testing.assert_close(ours(x), expected, rtol=1e-9, atol=1e-9 * float(expected.abs().max()))


@pytest.mark.parametrize("build", [partial(efficientnet_b, number=0), partial(efficientnet, phi=-3)], ids=["b0", "phi"])
def test_every_parameter_gets_a_gradient(build: partial[nn.Module]) -> None:
    torch.manual_seed(0)
    network = build(5)
    torch.autograd.backward(F.cross_entropy(network(torch.randn(4, 3, 64, 64)), torch.tensor([0, 1, 2, 3])))
    assert [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("name", COUNTS)
def test_the_smallest_input_is_the_smallest(name: str) -> None:
    network, smallest = meta(name), networks.describe(name).smallest
    assert network(torch.empty(1, 3, smallest, smallest, device="meta")).shape == (1, 1000)
    with pytest.raises(RuntimeError, match=r"Kernel size"):
        network(torch.empty(1, 3, smallest - 1, smallest - 1, device="meta"))


def test_grey_images_need_a_network_of_one_channel() -> None:
    for name in ("efficientnet_b0", "efficientnet", "efficientnet_lite0"):
        assert meta(name, in_channels=1)(torch.empty(1, 1, 32, 32, device="meta")).shape == (1, 1000)


@pytest.mark.parametrize("number", [-1, 8])
def test_a_size_that_was_not_published_is_refused(number: int) -> None:
    with pytest.raises(UsageError, match=f"number of efficientnet_b must be one of 0, 1, .*, 6, 7, got '{number}'"):
        efficientnet_b(number=number)
    with pytest.raises(UsageError, match=f"number of efficientnet_lite must be one of 0, 1, 2, 3, 4, got '{number}'"):
        efficientnet_lite(number=number)

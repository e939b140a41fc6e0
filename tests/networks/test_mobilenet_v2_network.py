"""MobileNetV2: the published grid to the unit, inverted residuals, and the networks that weights are published for."""

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from convwise import networks
from convwise.networks.blocks import ConvNormAct, InvertedResidual, SameConv2d
from convwise.networks.mobilenet_v2 import mobilenet_v2

from .helpers import output_shapes, params, shaken

# fmt: off
# width -> params, MACs at 224, 192, 160, 128, 96: counted in torchvision 0.29.1; the authors' README has them rounded,
# its params without batch norm
GRID = {
    1.4:  (6_108_776, (582_195_824,)),
    1.3:  (5_386_792, (509_374_560,)),
    1.0:  (3_504_872, (300_774_272, 221_316_608, 154_083_200, 99_074_048, 56_289_152)),
    0.75: (2_636_424, (209_069_792, 153_941_888, 107_295_200, 69_129_728, 39_445_472)),
    0.5:  (1_968_680, ( 97_131_840,  71_701_760,  50_184_000, 32_578_560, 18_885_440)),
    0.35: (1_677_128, ( 59_285_808,  43_896_512,  30_874_800, 20_220_672, 11_934_128)),
}
# fmt: on
RESOLUTIONS = (224, 192, 160, 128, 96)


def meta(**arguments: object) -> nn.Module:
    """The network without numbers."""
    with torch.device("meta"):
        return networks.create("mobilenet_v2", arguments=arguments).eval()


def macs(module: nn.Module, side: int) -> int:
    """Multiply-accumulates for a colour image of this side."""
    with FlopCounterMode(display=False) as counter:
        module(torch.empty(1, 3, side, side, device="meta"))
    return int(counter.get_total_flops()) // 2


def test_the_entry_has_the_counts_of_the_paper() -> None:
    entry = networks.describe("mobilenet_v2")
    # the table
    assert (entry.params, entry.macs) == (3_504_872, 300_774_272) == (params(meta()), macs(meta(), 224))


@pytest.mark.parametrize("width", GRID)
def test_the_grid_of_widths_and_resolutions_has_its_published_counts(width: float) -> None:
    network, (number, costs) = meta(width=width), GRID[width]
    assert params(network) == number
    assert tuple(macs(network, side) for side in RESOLUTIONS[: len(costs)]) == costs


@pytest.mark.parametrize(("width", "number"), [(1.0, 3_470_760), (1.4, 6_060_840), (0.35, 1_663_048)])
def test_the_params_of_the_authors_readme_leave_batch_norm_out(width: float, number: int) -> None:
    network = meta(width=width)
    norms = sum(params(m) for m in network.modules() if isinstance(m, nn.BatchNorm2d))
    assert params(network) - norms == number


def test_the_maps_have_the_sizes_of_table_2() -> None:
    assert output_shapes(meta(), 224) == [
        (32, 112, 112), (16, 112, 112), (24, 56, 56), (32, 28, 28), (64, 14, 14), (96, 14, 14), (160, 7, 7),
        (320, 7, 7), (1280, 7, 7),
    ]  # fmt: skip


def test_the_last_convolution_never_shrinks_but_grows() -> None:
    # section 4 of the paper; channels are multiples of 8 that lose less than a tenth: 32 * 0.35 = 11.2 becomes 16
    assert [shape[0] for shape in output_shapes(meta(width=0.35), 32)] == [16, 8, 8, 16, 24, 32, 56, 112, 1280]
    assert [shape[0] for shape in output_shapes(meta(width=1.4), 32)] == [48, 24, 32, 48, 88, 136, 224, 448, 1792]


def test_bottlenecks_are_linear_six_times_wider_inside_and_joined_where_the_shape_stays() -> None:
    blocks = [m for m in meta().modules() if isinstance(m, InvertedResidual)]
    # Table 2: 1 + 2 + 3 + 4 + 3 + 3 + 1 blocks, of which the first of a row never keeps the shape
    assert len(blocks) == 17
    assert [block.shortcut for block in blocks].count(True) == 10
    for i, block in enumerate(blocks):
        project = block.get_submodule("branch.project")
        assert [name for name, _ in project.named_children()] == ["conv", "norm"]
        depthwise = block.get_submodule("branch.depthwise.conv")
        assert isinstance(depthwise, nn.Conv2d)
        assert depthwise.groups == depthwise.in_channels
        if i > 0:
            expand = block.get_submodule("branch.expand.conv")
            assert isinstance(expand, nn.Conv2d)
            assert expand.out_channels == 6 * expand.in_channels == depthwise.groups
    assert "expand" not in dict(blocks[0].branch.named_children())


def test_padding_eps_and_dropout_follow_their_arguments() -> None:
    for same, eps, dropout in ((False, 1e-5, 0.2), (True, 1e-3, 0.0)):
        modules = list(meta(same=same, eps=eps, dropout=dropout).modules())
        assert {isinstance(m, SameConv2d) for m in modules if isinstance(m, nn.Conv2d)} == {same}
        assert {m.eps for m in modules if isinstance(m, nn.BatchNorm2d)} == {eps}
        assert {m.p for m in modules if isinstance(m, nn.Dropout)} == {dropout}
        assert {type(m.act) for m in modules if isinstance(m, ConvNormAct) and hasattr(m, "act")} == {nn.ReLU6}


def assert_same_logits(ours: nn.Module, theirs: nn.Module, side: int) -> None:
    """Both give the same for noise of this side once `ours` has the tensors of `theirs`, in their order."""
    ours.double().eval().load_state_dict(dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True)))
    x = torch.randn(2, 3, side, side, dtype=torch.float64)
    expected: Tensor = theirs(x)
    torch.testing.assert_close(ours(x), expected, rtol=1e-9, atol=1e-9 * float(expected.abs().max()))


@pytest.mark.parametrize("side", [64, 75])
@pytest.mark.parametrize("width", [0.35, 1.0, 1.4])
@torch.no_grad()
def test_the_logits_are_those_of_torchvision_with_the_same_weights(width: float, side: int) -> None:
    torch.manual_seed(0)
    theirs = shaken(torchvision.models.mobilenet_v2(width_mult=width))
    assert_same_logits(mobilenet_v2(width=width), theirs, side)


@pytest.mark.parametrize("side", [64, 75])
@torch.no_grad()
def test_the_logits_are_those_of_timm_padded_as_tensorflow_does(side: int) -> None:
    torch.manual_seed(0)
    theirs = shaken(timm.create_model("mobilenetv2_100", pad_type="same", bn_eps=1e-3))
    assert_same_logits(mobilenet_v2(same=True, eps=1e-3), theirs, side)


def test_every_parameter_gets_a_gradient() -> None:
    torch.manual_seed(0)
    network = mobilenet_v2(5, width=0.35)
    torch.autograd.backward(F.cross_entropy(network(torch.randn(4, 3, 64, 64)), torch.tensor([0, 1, 2, 3])))
    assert [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_the_smallest_input_is_the_smallest() -> None:
    smallest = networks.describe("mobilenet_v2").smallest
    assert meta()(torch.empty(1, 3, smallest, smallest, device="meta")).shape == (1, 1000)
    with pytest.raises(RuntimeError, match=r"Kernel size"):
        meta()(torch.empty(1, 3, smallest - 1, smallest - 1, device="meta"))


def test_grey_images_need_a_network_of_one_channel() -> None:
    assert meta(in_channels=1)(torch.empty(1, 1, 32, 32, device="meta")).shape == (1, 1000)

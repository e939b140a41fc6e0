"""The shared parts: padding and counts by hand, randomness by its share."""

import math
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from convwise.networks.blocks import (
    ConvNormAct,
    InvertedResidual,
    SameConv2d,
    StochasticDepth,
    init_weights,
    pooled_head,
    round_channels,
)


def ones(conv: nn.Conv2d) -> nn.Conv2d:
    """`conv` with every weight 1 and no bias, so that it counts the pixels that are not padding."""
    nn.init.ones_(conv.weight)
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
    return conv


def test_same_padding_puts_the_odd_row_and_column_below_and_right() -> None:
    conv = ones(SameConv2d(1, 1, 3, 2))
    assert conv(torch.ones(1, 1, 4, 4)).tolist() == [[[[9, 6], [6, 4]]]]


def test_same_padding_is_symmetric_where_it_can_be() -> None:
    conv = ones(SameConv2d(1, 1, 3, 2))
    assert conv(torch.ones(1, 1, 3, 3)).tolist() == [[[[4, 4], [4, 4]]]]


def test_same_padding_pads_each_axis_by_its_own_side() -> None:
    conv = ones(SameConv2d(1, 1, 3, 2))
    assert conv(torch.ones(1, 1, 3, 4)).tolist() == [[[[6, 4], [6, 4]]]]


@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
def test_same_padding_gives_the_side_over_the_stride_rounded_up(kernel: int, stride: int, dilation: int) -> None:
    conv = SameConv2d(1, 1, kernel, stride, dilation=dilation)
    for height, width in [(7, 8), (10, 9), (12, 1)]:
        out = conv(torch.zeros(1, 1, height, width))
        assert out.shape[2:] == (math.ceil(height / stride), math.ceil(width / stride))


def test_a_same_convolution_at_stride_1_equals_a_symmetric_one() -> None:
    conv = SameConv2d(2, 4, 5, groups=2)
    x = torch.randn(1, 2, 6, 7)
    torch.testing.assert_close(conv(x), F.conv2d(x, conv.weight, conv.bias, padding=2, groups=2))


def test_conv_norm_act_keeps_height_and_width_at_stride_1() -> None:
    for same in (False, True):
        assert ConvNormAct(3, 8, 5, same=same)(torch.randn(2, 3, 9, 6)).shape == (2, 8, 9, 6)


def test_conv_norm_act_names_its_parts_and_leaves_the_activation_out_on_request() -> None:
    assert [name for name, _ in ConvNormAct(3, 8).named_children()] == ["conv", "norm", "act"]
    assert [name for name, _ in ConvNormAct(3, 8, act=None).named_children()] == ["conv", "norm"]


def test_stochastic_depth_drops_whole_samples_and_scales_the_others() -> None:
    torch.manual_seed(0)
    kept = StochasticDepth(0.25).train()(torch.ones(4000, 2, 3, 3))
    of_sample = kept.flatten(1)
    assert (of_sample == of_sample[:, :1]).all()
    assert sorted(set(of_sample[:, 0].tolist())) == pytest.approx([0, 4 / 3])
    # three deviations of the mean of 4000 draws, each 0 or 4/3
    assert kept.mean().item() == pytest.approx(1, abs=3 * math.sqrt(0.25 * 0.75 / 4000) * 4 / 3)


def test_stochastic_depth_is_the_identity_at_evaluation() -> None:
    x = torch.randn(8, 1, 2, 2)
    assert StochasticDepth(0.9).eval()(x) is x


def test_an_inverted_residual_adds_its_input_only_where_the_shape_stays() -> None:
    def silenced(block: InvertedResidual) -> InvertedResidual:
        for p in block.parameters():
            nn.init.zeros_(p)
        return block.eval()

    x = torch.randn(2, 8, 6, 6)
    same = silenced(InvertedResidual(8, 8, expansion=6, stride=1))
    wider = silenced(InvertedResidual(8, 16, expansion=6, stride=1))
    smaller = silenced(InvertedResidual(8, 8, expansion=6, stride=2))
    assert torch.equal(same(x), x)
    assert torch.equal(wider(x), torch.zeros(2, 16, 6, 6))
    assert torch.equal(smaller(x), torch.zeros(2, 8, 3, 3))


def test_an_inverted_residual_without_shortcut_never_drops_a_sample() -> None:
    blocks = [InvertedResidual(8, 8, expansion=1, stride=stride, drop=0.5) for stride in (1, 2)]
    found = [any(isinstance(m, StochasticDepth) for m in block.modules()) for block in blocks]
    assert found == [True, False]


def test_an_inverted_residual_of_expansion_1_does_not_expand() -> None:
    names = [name for name, _ in InvertedResidual(8, 16, expansion=1, stride=1).branch.named_children()]
    assert names == ["depthwise", "project"]


def test_the_gate_of_an_inverted_residual_weighs_the_hidden_maps_before_the_projection() -> None:
    class Scale(nn.Module):
        def __init__(self, channels: int, by: float) -> None:
            super().__init__()
            self.channels, self.by = channels, by

        def forward(self, x: Tensor) -> Tensor:
            return x * self.by

    closed, open_ = (
        InvertedResidual(8, 8, expansion=6, stride=1, gate=partial(Scale, by=by)).eval() for by in (0.0, 1.0)
    )
    assert [name for name, _ in closed.branch.named_children()] == ["expand", "depthwise", "gate", "project"]
    assert {m.channels for m in closed.modules() if isinstance(m, Scale)} == {48}
    x = torch.randn(2, 8, 6, 6)
    assert torch.equal(closed(x), x)  # a fresh batch norm leaves zeros alone
    assert not torch.equal(open_(x), x)


@pytest.mark.parametrize(
    ("channels", "rounded"),
    # EfficientNet-B2's stem, first and last rows and head; then B3's second row, which rounds down; a tenth lost at 11
    [(35.2, 32), (17.6, 16), (352, 352), (1408, 1408), (28.8, 32), (33.6, 32), (11, 16), (12, 16), (3, 8)],
)
def test_channels_round_to_multiples_of_8(channels: float, rounded: int) -> None:
    assert round_channels(channels) == rounded


def test_the_pooled_head_is_the_mean_and_one_linear_layer() -> None:
    head = pooled_head(4, 3, dropout=0.5).eval()
    x = torch.randn(2, 4, 5, 6)
    linear = head[-1]
    assert isinstance(linear, nn.Linear)
    torch.testing.assert_close(head(x), linear(x.mean((2, 3))))


@pytest.mark.parametrize(
    ("layer", "fan_in"),
    [(nn.Conv2d(64, 64, 3), 576), (nn.Conv2d(1024, 1024, 3, groups=1024), 9), (nn.Linear(300, 200), 300)],
)
def test_initial_weights_have_the_variance_2_over_fan_in(layer: nn.Conv2d | nn.Linear, fan_in: int) -> None:
    torch.manual_seed(0)
    init_weights(layer)
    weight: Tensor = layer.weight
    assert weight.std().item() == pytest.approx(math.sqrt(2 / fan_in), rel=0.05)
    assert layer.bias is not None
    assert not layer.bias.any()

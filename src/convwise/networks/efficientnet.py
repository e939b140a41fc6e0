"""EfficientNet (Tan and Le, ICML 2019, https://arxiv.org/abs/1905.11946), in its Lite form.

Lite (https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite) is the same table without squeeze
and excitation, with ReLU6, and with stem, head and the first and last row's depth left unscaled: made to be quantised.
Input: (B, 3, H, W) of any side, 224 for Lite0. Zeros pad as TensorFlow's "SAME" does; batch norm has eps 1e-3.
Deviations: batch norm's running averages move by 0.1 a step instead of 0.01, which suits short training on few images;
He initialisation.
Published, Lite0 at 224: 4.7 M params, 407 M multiply-adds. Here: 4,652,008 and 385,187,552 MACs, convolutions and the
linear layer alone.
"""

import math
from functools import partial
from typing import NamedTuple

from torch import nn

from .blocks import ConvNet, ConvNormAct, InvertedResidual, pooled_head, round_channels


class Stage(NamedTuple):
    """One row of Table 1."""

    expansion: int  # the digit of MBConv1 and MBConv6
    kernel: int  # k
    channels: int  # C, of the output at width 1.0
    layers: int  # L, blocks at depth 1.0
    stride: int  # of the first block; the others use 1


# Table 1 of the paper, its stages 2 to 8; the side is the output's, for a 224 input.
# fmt: off
STAGES = (
    #     t  k    C  L  s    side
    Stage(1, 3,  16, 1, 1),  # 112
    Stage(6, 3,  24, 2, 2),  # 56
    Stage(6, 5,  40, 2, 2),  # 28
    Stage(6, 3,  80, 3, 2),  # 14
    Stage(6, 5, 112, 3, 1),  # 14
    Stage(6, 5, 192, 4, 2),  # 7
    Stage(6, 3, 320, 1, 1),  # 7
)
# fmt: on
STEM, HEAD = 32, 1280  # stages 1 and 9


def efficientnet_lite0(num_classes: int = 1000, dropout: float = 0.2, stochastic_depth: float = 0.2) -> ConvNet:
    """Build EfficientNet-Lite0.

    Args:
        num_classes: length of the logits.
        dropout: probability before the last linear layer.
        stochastic_depth: probability that training drops a branch, rising linearly from 0 in the first block to this
            in the one that would follow the last (section 5.2 of the paper; the reference code counts it so).
    """
    return lite(num_classes, 1.0, 1.0, dropout=dropout, stochastic_depth=stochastic_depth)


def lite(num_classes: int, width: float, depth: float, *, dropout: float, stochastic_depth: float) -> ConvNet:
    """Build the Lite form with channels times `width` and blocks times `depth`; the rest as `efficientnet_lite0`."""
    layer = partial(ConvNormAct, act=nn.ReLU6, same=True, eps=1e-3)
    ends = (STAGES[0], STAGES[-1])
    repeats = [row.layers if row in ends else math.ceil(depth * row.layers) for row in STAGES]
    total, index, channels = sum(repeats), 0, STEM
    stages: list[nn.Module] = []
    for row, layers in zip(STAGES, repeats, strict=True):
        out, blocks = round_channels(row.channels * width), []
        for i in range(layers):
            block = InvertedResidual(
                channels, out, expansion=row.expansion, stride=row.stride if i == 0 else 1, kernel=row.kernel,
                layer=layer, drop=stochastic_depth * index / total,
            )  # fmt: skip
            blocks.append(block)
            channels, index = out, index + 1
        stages.append(nn.Sequential(*blocks))
    stages.append(nn.Sequential(layer(channels, HEAD, 1)))
    return ConvNet(layer(3, STEM, stride=2), nn.Sequential(*stages), pooled_head(HEAD, num_classes, dropout))

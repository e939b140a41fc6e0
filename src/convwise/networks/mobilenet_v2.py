"""MobileNetV2 (Sandler et al., CVPR 2018, https://arxiv.org/abs/1801.04381).

Input: (B, 3, H, W) of any side, 224 in the paper.
Deviations: 17 bottlenecks as in Table 2, where the text says 19; zeros pad symmetrically and batch norm has eps 1e-5
unless asked otherwise, where the authors' code pads as "SAME" and has 1e-3
(https://github.com/tensorflow/models/tree/master/research/slim/nets/mobilenet); dropout 0.2, which the paper mentions
without a rate; He initialisation.
Paper, width 1.0 at 224: 3.4 M params, 300 M MACs; width 1.4: 6.9 M, 585 M. Here: 3,504,872, 300,774,272; 6,108,776,
582,195,824. The authors' README has 6.06 M for 1.4, which is the count here without batch norm.
"""

from functools import partial
from typing import NamedTuple

from torch import nn

from .blocks import ConvNet, ConvNormAct, InvertedResidual, pooled_head, round_channels


class Stage(NamedTuple):
    """One row of Table 2."""

    expansion: int  # t, hidden channels over input channels
    channels: int  # c, of the output at width 1.0
    blocks: int  # n
    stride: int  # s, of the first block; the others use 1


# Table 2 of the paper; the side is the output's, for a 224 input.
# fmt: off
STAGES = (
    #     t    c  n  s     side
    Stage(1,  16, 1, 1),  # 112
    Stage(6,  24, 2, 2),  # 56
    Stage(6,  32, 3, 2),  # 28
    Stage(6,  64, 4, 2),  # 14
    Stage(6,  96, 3, 1),  # 14
    Stage(6, 160, 3, 2),  # 7
    Stage(6, 320, 1, 1),  # 7
)
# fmt: on
STEM, LAST = 32, 1280


def mobilenet_v2(
    num_classes: int = 1000, in_channels: int = 3, *, width: float = 1.0, dropout: float = 0.2, same: bool = False,
    eps: float = 1e-5,
) -> ConvNet:  # fmt: skip
    """Build MobileNetV2.

    Args:
        num_classes: length of the logits.
        in_channels: of the image.
        width: the paper's width multiplier, on every layer's channels; 0.35 to 1.4 in the paper.
        dropout: probability before the last linear layer.
        same: pad as TensorFlow does.
        eps: of the batch norm.
    """
    layer = partial(ConvNormAct, act=nn.ReLU6, same=same, eps=eps)
    channels = round_channels(STEM * width)
    stem, stages = layer(in_channels, channels, stride=2), []
    for row in STAGES:
        out, blocks = round_channels(row.channels * width), []
        for i in range(row.blocks):
            stride = row.stride if i == 0 else 1
            blocks.append(InvertedResidual(channels, out, expansion=row.expansion, stride=stride, layer=layer))
            channels = out
        stages.append(nn.Sequential(*blocks))
    last = round_channels(LAST * max(1.0, width))  # section 4: the last convolution never shrinks
    stages.append(nn.Sequential(layer(channels, last, 1)))
    return ConvNet(stem, nn.Sequential(*stages), pooled_head(last, num_classes, dropout))

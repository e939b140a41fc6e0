"""MobileNet (Howard et al. 2017, https://arxiv.org/abs/1704.04861), and the two networks that it is compared with.

Input: (B, 3, H, W) of any side, 224 in the paper.
Deviations: the last depthwise layer has stride 1 where Table 1 prints 2, as the sides in that table and the authors'
code have it (https://github.com/tensorflow/models/blob/master/research/slim/nets/mobilenet_v1.py); zeros pad
symmetrically and batch norm has eps 1e-5 unless asked otherwise, where that code pads as "SAME" and has 1e-3; its
dropout of 0.001 is left out; He initialisation.
Paper, at 224: 4.2 M params, 569 M MACs; with full convolutions 29.3 M, 4866 M; shallow 2.9 M, 307 M.
Here: 4,231,976, 568,740,352; 29,294,088, 4,867,293,184 (4,866,269,184 without the linear layer); 2,887,976,
307,323,392.
"""

from collections import OrderedDict
from functools import partial
from typing import NamedTuple

from torch import nn

from .blocks import ConvNet, ConvNormAct, Layer, pooled_head


class Stage(NamedTuple):
    """A depthwise and a pointwise layer, two rows of Table 1; or the five such pairs that it prints as one."""

    channels: int  # of the output, at width 1.0
    stride: int  # of the depthwise layer
    blocks: int = 1


# Table 1 of the paper; the side is the output's, for a 224 input.
# fmt: off
STAGES = (
    #        c  s     side
    Stage(  64, 1),  # 112
    Stage( 128, 2),  # 56
    Stage( 128, 1),  # 56
    Stage( 256, 2),  # 28
    Stage( 256, 1),  # 28
    Stage( 512, 2),  # 14
    Stage( 512, 1, blocks=5),  # 14
    Stage(1024, 2),  # 7
    Stage(1024, 1),  # 7
)
# fmt: on
STEM = 32


def mobilenet_v1(
    num_classes: int = 1000, in_channels: int = 3, *, width: float = 1.0, separable: bool = True, shallow: bool = False,
    relu6: bool = False, same: bool = False, eps: float = 1e-5,
) -> ConvNet:  # fmt: skip
    """Build MobileNet.

    Args:
        num_classes: length of the logits.
        in_channels: of the image.
        width: the paper's width multiplier, on every layer's channels; 0.25 to 1 in the paper.
        separable: False puts a full 3x3 convolution where each depthwise-separable block is (Table 4).
        shallow: leave out the five blocks of 14 x 14 x 512 (Table 5).
        relu6: ReLU6, with which weights are published, in place of the paper's ReLU.
        same: pad as TensorFlow does.
        eps: of the batch norm.
    """
    layer = partial(ConvNormAct, act=nn.ReLU6 if relu6 else nn.ReLU, same=same, eps=eps)
    channels = thinned(STEM, width)
    stem, stages = layer(in_channels, channels, stride=2), []
    for row in STAGES:
        if shallow and row.blocks > 1:
            continue
        out, blocks = thinned(row.channels, width), []
        for _ in range(row.blocks):
            make = partial(depthwise_separable, layer) if separable else layer
            blocks.append(make(channels, out, stride=row.stride))
            channels = out
        stages.append(nn.Sequential(*blocks))
    return ConvNet(stem, nn.Sequential(*stages), pooled_head(channels, num_classes))


def depthwise_separable(layer: Layer, in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    """Filter each channel by its own 3x3 kernel, then mix the channels (section 3.1)."""
    depthwise = layer(in_channels, in_channels, 3, stride, groups=in_channels)
    return nn.Sequential(OrderedDict(depthwise=depthwise, pointwise=layer(in_channels, out_channels, 1)))


def thinned(channels: int, width: float) -> int:
    """Channels times `width`, rounded down, at least 8, as the authors' code has it."""
    return max(int(channels * width), 8)

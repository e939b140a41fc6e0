"""AlexNet, on two GPUs and in one tower.

`alexnet` (Krizhevsky, Sutskever and Hinton, NIPS 2012,
https://papers.nips.cc/paper/4824-imagenet-classification-with-deep-convolutional-neural-networks): input
(B, 3, 227, 227) or larger, (B, 3, 67, 67) at least.
`alexnet_owt` (Krizhevsky 2014, https://arxiv.org/abs/1404.5997, with the layers of his cuda-convnet2): input
(B, 3, 224, 224); the form that published weights have.
Deviations: 227 pixels where the paper prints 224, from which its 55 x 55 maps do not follow; the two halves are groups
of one convolution on one device, and response normalisation reaches across their border, as in Caffe; He initialisation
and zero biases, where the paper draws from N(0, 0.01) and sets the biases of layers 2, 4, 5, 6 and 7 to 1; dropout
scales in training instead of halving at test time, and in the one tower it follows the hidden layers as in 2012, where
published weights were trained with it in front of them; maps of another side than 6 are averaged to 6 x 6 in front of
the linear layers.
Paper: 60 million params. Here: 60,965,224 and 724,406,816 MACs, without groups 62,378,344 and 1,135,256,096; in one
tower 61,100,840 and 714,188,480.
"""

from typing import NamedTuple

from torch import nn

from .blocks import ConvAct, ConvNet, mlp_head
from .repeatable import LocalResponseNorm


class Stage(NamedTuple):
    """One convolutional layer and what follows it."""

    channels: int
    kernel: int
    stride: int
    padding: int  # pixels on each side
    split: bool = False  # each GPU sees only its own half of the maps
    norm: bool = False  # response normalisation across channels
    pool: bool = False  # overlapping: the largest of 3 x 3 pixels, every 2


# Figure 2 and section 3.5 of the paper; the side is the output's, after pooling, for a 227 input.
# fmt: off
TWO_GPUS = (
    #        C   k  s  p
    Stage( 96, 11, 4, 0, norm=True, pool=True),              # 27
    Stage(256,  5, 1, 2, split=True, norm=True, pool=True),  # 13
    Stage(384,  3, 1, 1),                                    # 13
    Stage(384,  3, 1, 1, split=True),                        # 13
    Stage(256,  3, 1, 1, split=True, pool=True),             # 6
)
# layers-imagenet-1gpu.cfg of cuda-convnet2, without its response normalisation; for a 224 input.
ONE_TOWER = (
    Stage( 64, 11, 4, 2, pool=True),  # 27
    Stage(192,  5, 1, 2, pool=True),  # 13
    Stage(384,  3, 1, 1),             # 13
    Stage(256,  3, 1, 1),             # 13
    Stage(256,  3, 1, 1, pool=True),  # 6
)
# fmt: on
SIDE = 6  # of the last maps


def alexnet(num_classes: int = 1000, in_channels: int = 3, *, groups: int = 2, dropout: float = 0.5) -> ConvNet:
    """Build AlexNet of 2012.

    Args:
        num_classes: length of the logits.
        in_channels: of the image.
        groups: 2 as on the paper's two GPUs, 1 to connect all maps of a layer with all of the next.
        dropout: probability after each of the two hidden linear layers.
    """
    return _build(TWO_GPUS, num_classes, in_channels, groups=groups, dropout=dropout)


def alexnet_owt(num_classes: int = 1000, in_channels: int = 3, *, dropout: float = 0.5) -> ConvNet:
    """Build AlexNet in one tower.

    Args:
        num_classes: length of the logits.
        in_channels: of the image.
        dropout: probability after each of the two hidden linear layers.
    """
    return _build(ONE_TOWER, num_classes, in_channels, groups=1, dropout=dropout)


def _build(table: tuple[Stage, ...], num_classes: int, in_channels: int, *, groups: int, dropout: float) -> ConvNet:
    stages, channels = [], in_channels
    for row in table:
        split = groups if row.split else 1
        block = ConvAct(channels, row.channels, row.kernel, row.stride, padding=row.padding, groups=split)
        if row.norm:  # section 3.3: n = 5, alpha = 1e-4, beta = 0.75, k = 2; torch divides alpha by n
            block.add_module("norm", LocalResponseNorm(5, 5 * 1e-4, 0.75, 2.0))
        if row.pool:
            block.add_module("pool", nn.MaxPool2d(3, 2))
        stages.append(nn.Sequential(block))
        channels = row.channels
    return ConvNet(nn.Identity(), nn.Sequential(*stages), mlp_head(channels, SIDE, num_classes, dropout))

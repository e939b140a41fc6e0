"""VGG (Simonyan and Zisserman, ICLR 2015, https://arxiv.org/abs/1409.1556), plain and with batch norm.

Input: (B, 3, 224, 224), or other sides of at least 32 pixels.
Deviations: configurations A, B, D and E alone (not A-LRN, nor C with its 1x1 convolutions); batch norm, which the paper
does not have, stands between a convolution, which keeps its bias, and its ReLU, as published weights have it; He
initialisation; maps of another side than 7 are averaged to 7 x 7 in front of the linear layers, where the paper makes
these convolutions.
Paper, depths 11, 13, 16, 19: 133, 133, 138, 144 M params. Here: 132,863,336, 133,047,848, 138,357,544, 143,667,240; and
7,609,090,048, 11,308,466,176, 15,470,264,320, 19,632,062,464 MACs. Batch norm adds 5,504, 5,888, 8,448, 11,008 params.
"""

from collections import OrderedDict
from typing import NamedTuple

from torch import nn

from ..errors import UsageError
from .blocks import ConvNet, mlp_head


class Stage(NamedTuple):
    """One row of Table 1: 3x3 convolutions, then the largest of each 2 x 2 pixels."""

    channels: int
    layers: tuple[int, int, int, int]  # convolutions in the columns A, B, D, E


DEPTHS = (11, 13, 16, 19)  # layers with weights in the columns A, B, D, E

# Table 1 of the paper; the side is the output's, after pooling, for a 224 input.
# fmt: off
STAGES = (
    #       C   A  B  D  E    side
    Stage( 64, (1, 2, 2, 2)),  # 112
    Stage(128, (1, 2, 2, 2)),  # 56
    Stage(256, (2, 2, 3, 4)),  # 28
    Stage(512, (2, 2, 3, 4)),  # 14
    Stage(512, (2, 2, 3, 4)),  # 7
)
# fmt: on
SIDE = 7  # of the last maps


def vgg(
    num_classes: int = 1000, in_channels: int = 3, *, depth: int = 16, batch_norm: bool = False, dropout: float = 0.5
) -> ConvNet:
    """Build a VGG.

    Args:
        num_classes: length of the logits.
        in_channels: of the image.
        depth: layers with weights, 11, 13, 16 or 19.
        batch_norm: normalise the output of each convolution.
        dropout: probability after each of the two hidden linear layers.

    Raises:
        UsageError: a depth that the paper does not have.
    """
    if depth not in DEPTHS:
        raise UsageError(f"depth of vgg must be one of {', '.join(map(str, DEPTHS))}, got {depth}")
    stages, channels = [], in_channels
    for row in STAGES:
        layers, blocks = row.layers[DEPTHS.index(depth)], []
        for i in range(layers):
            blocks.append(_block(channels, row.channels, batch_norm=batch_norm, pool=i == layers - 1))
            channels = row.channels
        stages.append(nn.Sequential(*blocks))
    return ConvNet(nn.Identity(), nn.Sequential(*stages), mlp_head(channels, SIDE, num_classes, dropout))


def _block(in_channels: int, out_channels: int, *, batch_norm: bool, pool: bool) -> nn.Sequential:
    layers: OrderedDict[str, nn.Module] = OrderedDict(conv=nn.Conv2d(in_channels, out_channels, 3, padding=1))
    if batch_norm:
        layers["norm"] = nn.BatchNorm2d(out_channels)
    layers["act"] = nn.ReLU()
    if pool:
        layers["pool"] = nn.MaxPool2d(2)
    return nn.Sequential(layers)

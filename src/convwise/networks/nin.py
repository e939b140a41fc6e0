"""Network in Network (Lin, Chen and Yan, ICLR 2014, https://arxiv.org/abs/1312.4400).

Input: (B, 3, 32, 32) for CIFAR-10, 4 pixels at least; (B, 3, 224, 224) for ImageNet, 39 at least.
Deviations: the paper prints neither channels nor kernels; CIFAR-10's are those of the authors' definition, which also
averages in the second pooling, and ImageNet's, which the paper does not have, those of the Caffe model zoo. Both have a
ReLU after the last mlpconv too. He initialisation.
Paper: no counts. Here: CIFAR-10 966,986 params and 222,486,528 MACs; ImageNet 7,595,176 and 1,100,188,800.
"""

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from torch import nn

from .blocks import ConvAct, ConvNet, init_last_layer

# In ceil mode the last window may reach past the map; what lies there does not count.
MAX = partial(nn.MaxPool2d, 3, 2, ceil_mode=True)
MEAN = partial(nn.AvgPool2d, 3, 2, ceil_mode=True, count_include_pad=False)


class Stage(NamedTuple):
    """One mlpconv layer and what follows it."""

    kernel: int
    stride: int
    padding: int  # pixels on each side
    channels: tuple[int, ...]  # of the convolution and its two 1x1 convolutions; in the last row the third is K
    pool: Callable[[], nn.Module] | None = None
    drop: bool = False  # dropout after it


# The side is the output's, after pooling, for inputs of 32 and 224.
# fmt: off
CIFAR10 = (
    #     k  s  p  channels                        side
    Stage(5, 1, 2, (192, 160, 96), MAX, True),   # 16
    Stage(5, 1, 2, (192, 192, 192), MEAN, True), # 8
    Stage(3, 1, 1, (192, 192)),                  # 8
)
IMAGENET = (
    Stage(11, 4, 0, (96, 96, 96), MAX),         # 27
    Stage(5, 1, 2, (256, 256, 256), MAX),       # 13
    Stage(3, 1, 1, (384, 384, 384), MAX, True), # 6
    Stage(3, 1, 1, (1024, 1024)),               # 6
)
# fmt: on


class ClassMaps(nn.Sequential):
    """The last mlpconv, one map a class, and the mean of each map: all that knows the number of classes.

    Args:
        in_channels: of the map before it.
        row: the last of a table.
        num_classes: length of the logits.
    """

    def __init__(self, in_channels: int, row: Stage, num_classes: int) -> None:
        pool = OrderedDict(pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten())
        super().__init__(_mlpconv(in_channels, row, (*row.channels, num_classes)) | pool)
        self.in_channels, self.row = in_channels, row

    def for_classes(self, num_classes: int) -> "ClassMaps":
        """Build the layer anew for another number of classes, on the same device."""
        fresh = ClassMaps(self.in_channels, self.row, num_classes).to(next(self.parameters()))
        init_last_layer(fresh)
        return fresh


def nin_cifar10(num_classes: int = 10, in_channels: int = 3, *, dropout: float = 0.5) -> ConvNet:
    """Build Network in Network for CIFAR-10.

    Args:
        num_classes: length of the logits.
        in_channels: of the image.
        dropout: probability after each mlpconv layer but the last.
    """
    return _build(CIFAR10, num_classes, in_channels, dropout=dropout)


def nin_imagenet(num_classes: int = 1000, in_channels: int = 3, *, dropout: float = 0.5) -> ConvNet:
    """Build Network in Network for ImageNet.

    Args:
        num_classes: length of the logits.
        in_channels: of the image.
        dropout: probability before the last mlpconv layer.
    """
    return _build(IMAGENET, num_classes, in_channels, dropout=dropout)


def _build(table: tuple[Stage, ...], num_classes: int, in_channels: int, *, dropout: float) -> ConvNet:
    stages, channels = [], in_channels
    for row in table[:-1]:
        layers = _mlpconv(channels, row, row.channels)
        if row.pool is not None:
            layers["pool"] = row.pool()
        if row.drop:
            layers["drop"] = nn.Dropout(dropout)
        stages.append(nn.Sequential(nn.Sequential(layers)))
        channels = row.channels[-1]
    head = nn.Sequential(ClassMaps(channels, table[-1], num_classes))
    return ConvNet(nn.Identity(), nn.Sequential(*stages), head)


def _mlpconv(in_channels: int, row: Stage, channels: tuple[int, ...]) -> OrderedDict[str, nn.Module]:
    """A convolution and two 1x1 convolutions, each with a ReLU (`conv`, `mlp1`, `mlp2`)."""
    first, second, third = channels
    return OrderedDict(
        conv=ConvAct(in_channels, first, row.kernel, row.stride, padding=row.padding),
        mlp1=ConvAct(first, second, 1),
        mlp2=ConvAct(second, third, 1),
    )

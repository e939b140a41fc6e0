"""LeNet-5 (LeCun et al., Proceedings of the IEEE 1998, https://doi.org/10.1109/5.726791), as printed and as taught now.

`lenet5_1998`, input (B, 1, 32, 32): trained sub-sampling, the connections of Table I in C3, scaled tanh after every
layer up to F6, and radial basis units whose centres are pictures of the digits.
Deviations: He initialisation for the paper's uniform one, and sub-sampling that starts as a mean (gain 1/4); the ten
pictures are drawn here in the manner of Figure 3, not copied from it; C5 spans S4's map at any resolution, where the
paper would let C5 have larger maps; cross-entropy on these logits is the paper's criterion (equation 9) without its
class for rubbish.
Paper: 60,000 trainable params, 340,908 connections. Here: 60,000 params and 325,680 MACs; connections also count biases
(6,508), sub-sampling (7,880) and radial basis units (840).

`lenet5`, input (B, 1, 28, 28), deviates further: C1 pads by 2 for the smaller image; C3 sees all maps of S2; max
pooling; C5 is written as the linear layer that it equals; a linear softmax layer; ReLU by default.
Here: 61,706 params and 416,520 MACs, summed by hand from Figure 2 with C3 dense.
Both take other sides and channel counts by argument.
"""

import math
import random
from collections import OrderedDict
from itertools import groupby

import torch
from torch import Tensor, nn

from ..errors import UsageError, one_of
from .blocks import ConvAct, ConvNet

C1, C3, C5, F6 = 6, 16, 120, 84  # Figure 2: maps, maps, maps, units
KERNEL = 5  # pixels, of C1 and C3

# Table I, a row for each map of C3: the maps of S2 that it sees.
# fmt: off
C3_INPUTS = (
    [0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5], [0, 4, 5], [0, 1, 5],
    [0, 1, 2, 3], [1, 2, 3, 4], [2, 3, 4, 5], [0, 3, 4, 5], [0, 1, 4, 5], [0, 1, 2, 5],
    [0, 1, 3, 4], [1, 2, 4, 5], [0, 2, 3, 5],
    [0, 1, 2, 3, 4, 5],
)

# 7 x 12 pixels a digit, as Figure 3 has all of ASCII; the empty rows are for the other characters' accents and tails.
DIGITS = (
    "....... ....... ....... ....... ....... ....... ....... ....... ....... .......",
    "..###.. ...#... .#####. .#####. ....##. ####### ..####. ####### .#####. .#####.",
    ".#...#. ..##... #.....# #.....# ...#.#. #...... .#..... #.....# #.....# #.....#",
    "#.....# .#.#... ......# ......# ..#..#. #...... #...... .....#. #.....# #.....#",
    "#.....# ...#... .....#. ......# .#...#. #.####. #.####. .....#. #.....# #.....#",
    "#.....# ...#... ...##.. ..####. #....#. ##....# ##....# ....#.. .#####. #....##",
    "#.....# ...#... ..#.... ......# ####### ......# #.....# ....#.. #.....# .####.#",
    "#.....# ...#... .#..... ......# .....#. ......# #.....# ...#... #.....# ......#",
    ".#...#. ...#... #...... #.....# .....#. #.....# #.....# ...#... #.....# .....#.",
    "..###.. .#####. ####### .#####. .....#. .#####. .#####. ...#... .#####. .####..",
    "....... ....... ....... ....... ....... ....... ....... ....... ....... .......",
    "....... ....... ....... ....... ....... ....... ....... ....... ....... .......",
)
# fmt: on
SEED = 1998  # of the centres beyond the digits


class ScaledTanh(nn.Module):
    """1.7159 tanh(2a / 3), which is 1 at 1 and -1 at -1 (appendix A)."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape, kept."""
        return 1.7159 * torch.tanh(x * (2 / 3))


ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": ScaledTanh, "sigmoid": nn.Sigmoid, "relu": nn.ReLU}


class SubSampling(nn.Module):
    """S2 and S4: the sum of 2 x 2 pixels times one gain a map, plus one bias a map, activated."""

    label = "sub-sampling"  # in pictures

    def __init__(self, channels: int, act: type[nn.Module]) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(2)
        self.gain = nn.Parameter(torch.full((channels, 1, 1), 1 / 4))
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))
        self.act = act()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H // 2, W // 2)."""
        y: Tensor = self.act(self.pool(x) * (4 * self.gain) + self.bias)
        return y


class TableConv2d(nn.Module):
    """C3: each output map is a convolution over its own choice of input maps, `C3_INPUTS`.

    Neighbouring rows of equal length are one grouped convolution, so that what is not connected costs nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        rows = [list(same) for _, same in groupby(C3_INPUTS, key=len)]
        self.inputs = [[channel for row in same for channel in row] for same in rows]
        self.convs = nn.ModuleList(
            nn.Conv2d(len(inputs), len(same), KERNEL, groups=len(same))
            for inputs, same in zip(self.inputs, rows, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, 6, H, W) -> (B, 16, H - 4, W - 4)."""
        maps = [conv(x[:, inputs]) for conv, inputs in zip(self.convs, self.inputs, strict=True)]
        return torch.cat(maps, 1)


class RadialBasis(nn.Module):
    """The output layer: minus the squared distance to one fixed centre a class, of 84 numbers +1 and -1.

    Ten centres are the digits, ink +1, row by row; further ones are drawn at random, always the same. Section II.B
    names both ways, and keeps the centres fixed: they are a buffer, not parameters.
    """

    centres: Tensor  # (K, 84)

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.register_buffer("centres", torch.tensor(centres(num_classes)))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 84) -> (B, K)."""
        return -((x.unsqueeze(1) - self.centres) ** 2).sum(-1)

    def for_classes(self, num_classes: int) -> "RadialBasis":
        """Build the layer for another number of classes, on the same device."""
        return RadialBasis(num_classes).to(self.centres)


def centres(num_classes: int) -> list[list[float]]:
    """One list of 84 numbers, +1 or -1, a class."""
    pictures = zip(*(row.split() for row in DIGITS), strict=True)
    found = [[1.0 if pixel == "#" else -1.0 for row in picture for pixel in row] for picture in pictures]
    draw = random.Random(SEED)  # not torch's generator: a centre must not depend on the network's seed
    while len(found) < num_classes:
        found.append([math.copysign(1, draw.random() - 0.5) for _ in range(F6)])
    return found[:num_classes]


def lenet5(num_classes: int = 10, in_channels: int = 1, resolution: int = 28, *, activation: str = "relu") -> ConvNet:
    """Build LeNet-5 as it is taught today.

    Args:
        num_classes: length of the logits.
        in_channels: 1 for grey, 3 for colour.
        resolution: side of the square input, pixels; it sets the width of the first linear layer, 28 as MNIST has it.
        activation: "relu", "sigmoid", or "tanh" for the paper's scaled one.

    Raises:
        UsageError: nothing would be left of the image before C5, or an unknown activation.
    """
    side, act = _check("lenet5", resolution, padding=2, activation=activation)
    stages = (
        _stage(nn.Conv2d(in_channels, C1, KERNEL, padding=2), act(), nn.MaxPool2d(2)),
        _stage(nn.Conv2d(C1, C3, KERNEL), act(), nn.MaxPool2d(2)),
    )
    hidden = (nn.Flatten(), nn.Linear(C3 * side * side, C5), act(), nn.Linear(C5, F6), act())
    return ConvNet(nn.Identity(), nn.Sequential(*stages), nn.Sequential(*hidden, nn.Linear(F6, num_classes)))


def lenet5_1998(
    num_classes: int = 10, in_channels: int = 1, resolution: int = 32, *, activation: str = "tanh"
) -> ConvNet:  # fmt: skip
    """Build LeNet-5 as printed.

    Args:
        num_classes: length of the logits.
        in_channels: 1 for grey, 3 for colour.
        resolution: side of the square input, pixels; it sets the kernel of C5, which spans S4's whole map.
        activation: "tanh" for the paper's scaled one, "sigmoid" or "relu"; centres are at +1 and -1 all the same.

    Raises:
        UsageError: nothing would be left of the image before C5, or an unknown activation.
    """
    side, act = _check("lenet5_1998", resolution, padding=0, activation=activation)
    stages = (
        _stage(nn.Conv2d(in_channels, C1, KERNEL), act(), SubSampling(C1, act)),
        _stage(TableConv2d(), act(), SubSampling(C3, act)),
        nn.Sequential(ConvAct(C3, C5, side, padding=0, act=act)),
    )
    head = nn.Sequential(nn.Flatten(), nn.Linear(C5, F6), act(), RadialBasis(num_classes))
    return ConvNet(nn.Identity(), nn.Sequential(*stages), head)


def _stage(conv: nn.Module, act: nn.Module, pool: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Sequential(OrderedDict(conv=conv, act=act, pool=pool)))


def _check(name: str, resolution: int, *, padding: int, activation: str) -> tuple[int, type[nn.Module]]:
    """Side of S4's maps, pixels, and the activation."""
    if activation not in ACTIVATIONS:
        raise one_of(f"activation of {name}", activation, ACTIVATIONS)
    side = ((resolution + 2 * padding - KERNEL + 1) // 2 - KERNEL + 1) // 2
    if side < 1:
        raise UsageError(f"resolution of {name} must be at least {16 - 2 * padding} pixels, got {resolution}")
    return side, ACTIVATIONS[activation]

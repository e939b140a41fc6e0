"""LeNet-5 (LeCun et al., Proceedings of the IEEE 1998, https://doi.org/10.1109/5.726791), as it is taught today.

Input: (B, 1, 28, 28); other sides and channel counts by argument.
Deviations: C1 pads 28 x 28 by 2 where the paper's images are 32 x 32; C3 sees all six maps of S2 (Table I connects some
of them); ReLU for the scaled tanh; max pooling for the trained subsampling; C5 is written as the linear layer that it
equals at this side; a linear softmax layer for the RBF units; He initialisation.
Paper: 60,000 trainable params, 340,908 connections. Here: 61,706 params, 416,520 MACs, summed by hand from Fig. 2 with
C3 dense.
"""

from typing import NamedTuple

from torch import nn

from ..errors import UsageError
from .blocks import ConvNet


class Stage(NamedTuple):
    """One convolution and the subsampling after it."""

    channels: int
    kernel: int
    padding: int  # pixels on each side


# Figure 2 of the paper; the sides are the outputs', before and after pooling, for a 28 input.
STAGES = (
    Stage(6, 5, 2),  # C1 28, S2 14
    Stage(16, 5, 0),  # C3 10, S4 5
)
HIDDEN = (120, 84)  # C5, F6


def lenet5(num_classes: int = 10, in_channels: int = 1, resolution: int = 28) -> ConvNet:
    """Build LeNet-5.

    Args:
        num_classes: length of the logits.
        in_channels: 1 for grey, 3 for colour.
        resolution: side of the square input, pixels; it sets the width of the first linear layer, 28 as MNIST has it.

    Raises:
        UsageError: nothing would be left of the image before the first linear layer.
    """
    stages, channels, side = [], in_channels, resolution
    for out_channels, kernel, padding in STAGES:
        conv = nn.Conv2d(channels, out_channels, kernel, padding=padding)
        stages.append(nn.Sequential(nn.Sequential(conv, nn.ReLU(), nn.MaxPool2d(2))))
        channels, side = out_channels, (side + 2 * padding - kernel + 1) // 2
    if side < 1:
        raise UsageError(f"resolution of lenet5 must be at least 12 pixels, got {resolution}")
    head: list[nn.Module] = [nn.Flatten()]
    width = channels * side * side
    for hidden in HIDDEN:
        head += [nn.Linear(width, hidden), nn.ReLU()]
        width = hidden
    head.append(nn.Linear(width, num_classes))
    return ConvNet(nn.Identity(), nn.Sequential(*stages), nn.Sequential(*head))

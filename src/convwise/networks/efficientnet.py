"""EfficientNet (Tan and Le, ICML 2019, https://arxiv.org/abs/1905.11946): B0 to B7, any other size, and the Lite form.

Lite (https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite) is the same table without squeeze
and excitation, with ReLU6, and with stem, head and the first and last row's depth left unscaled: made to be quantised.
Input: (B, 3, H, W) of any side; each size has its own, 224 for B0 and Lite0 to 600 for B7.
Zeros pad as TensorFlow's "SAME" does and batch norm has eps 1e-3, both as in the authors' code, unless asked otherwise.
Deviations: batch norm's running averages move by 0.1 a step instead of 0.01, which suits short training on few images;
He initialisation.
Paper, B0 at 224: 5.3 M params, 0.39 B multiply-adds; B7 at 600: 66 M, 37 B. Here: 5,288,548, 385,814,752; 66,347,960,
37,745,884,192. Published, Lite0 at 224: 4.7 M, 407 M. Here: 4,652,008, 385,187,552, convolutions and the linear layer
alone.
"""

import math
from collections import OrderedDict
from functools import partial
from typing import NamedTuple

from torch import Tensor, nn

from ..errors import one_of
from .blocks import ConvNet, ConvNormAct, InvertedResidual, pooled_head, round_channels
from .casebook.efficientnet import LITE, B, Scaling, compound


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


class SqueezeExcite(nn.Module):
    """Weigh each channel by a share that all channels' means decide.

    Args:
        channels: of the maps.
        squeezed: hidden units.

    Source: Hu et al. 2018 (https://arxiv.org/abs/1709.01507), with SiLU for the ReLU.
    """

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.share = nn.Sequential(
            OrderedDict(
                pool=nn.AdaptiveAvgPool2d(1),
                squeeze=nn.Conv2d(channels, squeezed, 1),
                act=nn.SiLU(),
                excite=nn.Conv2d(squeezed, channels, 1),
                sigmoid=nn.Sigmoid(),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) -> (B, channels, H, W)."""
        weighed: Tensor = x * self.share(x)
        return weighed


def efficientnet_b(
    num_classes: int = 1000, in_channels: int = 3, *, number: int, dropout: float | None = None,
    stochastic_depth: float = 0.2, same: bool = True, eps: float = 1e-3,
) -> ConvNet:  # fmt: skip
    """Build EfficientNet-B0 to B7.

    Args:
        num_classes: length of the logits.
        in_channels: of the image.
        number: which of the published sizes.
        dropout: probability before the last linear layer; None for the published one.
        stochastic_depth: probability that training drops a branch, rising linearly from 0 in the first block to this
            in the one that would follow the last (section 5.2 of the paper; the reference code counts it so).
        same: pad as TensorFlow does instead of symmetrically.
        eps: of the batch norm.

    Raises:
        UsageError: there is no such size.
    """
    if number not in B:
        raise one_of("number of efficientnet_b", str(number), map(str, B))
    return _build(
        B[number], num_classes, in_channels, lite=False, dropout=dropout, stochastic_depth=stochastic_depth,
        same=same, eps=eps,
    )  # fmt: skip


def efficientnet(
    num_classes: int = 1000, in_channels: int = 3, *, phi: float = 0.0, dropout: float | None = None,
    stochastic_depth: float = 0.2, same: bool = True, eps: float = 1e-3,
) -> ConvNet:  # fmt: skip
    """Build B0 scaled by `compound(phi)`, which also says for what resolution; the rest as `efficientnet_b`."""
    return _build(
        compound(phi), num_classes, in_channels, lite=False, dropout=dropout, stochastic_depth=stochastic_depth,
        same=same, eps=eps,
    )  # fmt: skip


def efficientnet_lite(
    num_classes: int = 1000, in_channels: int = 3, *, number: int, dropout: float | None = None,
    stochastic_depth: float = 0.2, same: bool = True, eps: float = 1e-3,
) -> ConvNet:  # fmt: skip
    """Build EfficientNet-Lite0 to Lite4; arguments and errors as of `efficientnet_b`."""
    if number not in LITE:
        raise one_of("number of efficientnet_lite", str(number), map(str, LITE))
    return _build(
        LITE[number], num_classes, in_channels, lite=True, dropout=dropout, stochastic_depth=stochastic_depth,
        same=same, eps=eps,
    )  # fmt: skip


def _build(
    scaling: Scaling, num_classes: int, in_channels: int, *, lite: bool, dropout: float | None,
    stochastic_depth: float, same: bool, eps: float,
) -> ConvNet:  # fmt: skip
    """Lay the rows of the table out at one size."""
    dropout = scaling.dropout if dropout is None else dropout
    layer = partial(ConvNormAct, act=nn.ReLU6 if lite else nn.SiLU, same=same, eps=eps)
    ends_width, unscaled = (1.0, (STAGES[0], STAGES[-1])) if lite else (scaling.width, ())
    stem, head = round_channels(STEM * ends_width), round_channels(HEAD * ends_width)
    repeats = [row.layers if row in unscaled else math.ceil(scaling.depth * row.layers) for row in STAGES]
    total, index, channels = sum(repeats), 0, stem
    stages: list[nn.Module] = []
    for row, layers in zip(STAGES, repeats, strict=True):
        out, blocks = round_channels(row.channels * scaling.width), []
        for i in range(layers):
            block = InvertedResidual(
                channels, out, expansion=row.expansion, stride=row.stride if i == 0 else 1, kernel=row.kernel,
                layer=layer, drop=stochastic_depth * index / total,
                gate=None if lite else partial(SqueezeExcite, squeezed=channels // 4),
            )  # fmt: skip
            blocks.append(block)
            channels, index = out, index + 1
        stages.append(nn.Sequential(*blocks))
    stages.append(nn.Sequential(layer(channels, head, 1)))
    return ConvNet(layer(in_channels, stem, stride=2), nn.Sequential(*stages), pooled_head(head, num_classes, dropout))

"""GoogLeNet (Szegedy et al., CVPR 2015, https://arxiv.org/abs/1409.4842), with and without batch norm.

Input: (B, 3, H, W) of 31 pixels a side or more, 224 in the paper.
Deviations: of `googlenet`: the paper prints no constants for its local response norm, here they are AlexNet's; the
auxiliary heads, which need a map of 14 x 14, pool other maps to that side first; auxiliary heads only on request; He
initialisation. `googlenet_bn` has batch norm behind each convolution in place of its bias and of local response norm.
With `torchvision=True` it is the network that torchvision's weights need: 3x3 in place of 5x5 in the third branch, the
last max pooling 2x2 instead of 3x3, eps 1e-3, other bins in the pooling of the auxiliary heads, and 0.2 in place of 0.4
as probability of the dropout.
Paper, sums of Table 1: 6.8 M params and 1,502 M multiply-adds, 34 M of them for a first convolution that has 118 M.
Here: 6,998,552 and 1,582,671,872; 13,378,280 params with auxiliary heads; with batch norm 7,005,832 and 13,385,816; the
form of torchvision 6,624,904 and 13,004,888, and 1,498,376,192 MACs.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple, cast, final

import torch
from torch import Tensor, nn

from . import parts
from .blocks import ConvAct, ConvNormAct, Layer, init_last_layer, init_weights, pooled_head
from .repeatable import AdaptiveAvgPool2d, LocalResponseNorm


class Row(NamedTuple):
    """Filters of one inception module, a row of Table 1."""

    one: int  # #1x1
    three_reduce: int  # #3x3 reduce
    three: int  # #3x3
    five_reduce: int  # #5x5 reduce
    five: int  # #5x5
    pool: int  # pool proj

    @property
    def channels(self) -> int:
        """Of the output."""
        return self.one + self.three + self.five + self.pool


# Table 1 of the paper; the side is the output's before the max pooling, for a 224 input, and the channels are too.
# fmt: off
STEM, REDUCE, CONV2 = 64, 64, 192  # 112, 56, 56
STAGES = (
    (   # inception (3): 28
        Row( 64,  96, 128, 16,  32,  32),  # 3a 256
        Row(128, 128, 192, 32,  96,  64),  # 3b 480
    ), (  # inception (4): 14
        Row(192,  96, 208, 16,  48,  64),  # 4a 512
        Row(160, 112, 224, 24,  64,  64),  # 4b 512
        Row(128, 128, 256, 24,  64,  64),  # 4c 512
        Row(112, 144, 288, 32,  64,  64),  # 4d 528
        Row(256, 160, 320, 32, 128, 128),  # 4e 832
    ), (  # inception (5): 7
        Row(256, 160, 320, 32, 128, 128),  # 5a 832
        Row(384, 192, 384, 48, 128, 128),  # 5b 1024
    ),
)
# fmt: on
# Section 5: auxiliary heads on 4a and 4d; cut -> channels there.
AUX = {"stage3.block1": STAGES[1][0].channels, "stage3.block4": STAGES[1][3].channels}
AUX_SIDE, AUX_CHANNELS, AUX_HIDDEN = 4, 128, 1024  # behind its pooling, its convolution, its first linear layer


class Form(NamedTuple):
    """What the forms of the network differ in."""

    layer: Layer
    lrn: bool
    kernel: int  # of the third branch
    last_pool: int  # kernel of the max pooling behind 4e
    aux_pool: Callable[[], nn.Module]  # to 4 x 4
    dropout: float


def _aux_pool() -> nn.Sequential:
    """5x5 average pooling of stride 3, section 5; at 14 x 14 the pooling before it changes nothing."""
    return nn.Sequential(AdaptiveAvgPool2d(14), nn.AvgPool2d(5, 3))


PRINTED = Form(ConvAct, lrn=True, kernel=5, last_pool=3, aux_pool=_aux_pool, dropout=0.4)
NORMED = PRINTED._replace(layer=ConvNormAct, lrn=False)
TORCHVISION = Form(
    partial(ConvNormAct, eps=1e-3), lrn=False, kernel=3, last_pool=2,
    aux_pool=partial(AdaptiveAvgPool2d, AUX_SIDE), dropout=0.2,
)  # fmt: skip


class Inception(nn.Module):
    """Four branches side by side, joined by their channels (Fig. 2b)."""

    def __init__(self, in_channels: int, row: Row, form: Form) -> None:
        super().__init__()
        layer = form.layer
        self.branches = nn.ModuleList([
            layer(in_channels, row.one, 1),
            nn.Sequential(layer(in_channels, row.three_reduce, 1), layer(row.three_reduce, row.three, 3)),
            nn.Sequential(layer(in_channels, row.five_reduce, 1), layer(row.five_reduce, row.five, form.kernel)),
            nn.Sequential(nn.MaxPool2d(3, 1, padding=1), layer(in_channels, row.pool, 1)),
        ])  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, row's channels, H, W)."""
        return torch.cat([branch(x) for branch in self.branches], 1)


@final
class GoogLeNet(nn.Module):
    """A `ConvNet` that may also have auxiliary heads, which only training listens to.

    Attributes:
        stem, stages, head: as of `ConvNet`.
        aux_heads: the auxiliary heads by their cut, written with "_" for "."; each (B, Ci, h, w) -> logits (B, K).
    """

    def __init__(
        self, stem: nn.Module, stages: nn.Sequential, head: nn.Sequential, aux: Mapping[str, nn.Sequential]
    ) -> None:
        super().__init__()
        self.stem, self.stages, self.head = stem, stages, head
        # a dot in the name of a module would split its key in the state dict
        self.aux_heads = nn.ModuleDict({cut.replace(".", "_"): branch for cut, branch in aux.items()})
        init_weights(self)
        for branch in (head, *aux.values()):
            init_last_layer(branch[-1])

    @property
    def aux(self) -> Mapping[str, nn.Sequential]:
        """Cut -> auxiliary head on it, whose [-1] knows the number of classes; empty where none were asked for."""
        return {name.replace("_", "."): cast("nn.Sequential", branch) for name, branch in self.aux_heads.items()}

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, K), in training too."""
        logits: Tensor = self.head(self.stages(self.stem(x)))
        return logits

    def forward_aux(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """(B, C, H, W) -> (B, K) and (B, K) of each auxiliary head, whose losses the paper adds with weight 0.3."""
        heads, found = self.aux, []
        for cut, part in parts(self):
            x = part(x)
            if cut in heads:
                found.append(heads[cut](x))
        return x, tuple(found)


def googlenet(num_classes: int = 1000, in_channels: int = 3, *, aux: bool = False) -> GoogLeNet:
    """Build GoogLeNet as printed.

    Args:
        num_classes: length of the logits.
        in_channels: of the image.
        aux: with the two auxiliary heads of section 5.
    """
    return _build(PRINTED, num_classes, in_channels, aux=aux)


def googlenet_bn(
    num_classes: int = 1000, in_channels: int = 3, *, aux: bool = False, torchvision: bool = False
) -> GoogLeNet:
    """Build GoogLeNet with batch norm.

    Args:
        num_classes: length of the logits.
        in_channels: of the image.
        aux: with the two auxiliary heads of section 5.
        torchvision: in the form that torchvision's weights need, see the top of this file.
    """
    return _build(TORCHVISION if torchvision else NORMED, num_classes, in_channels, aux=aux)


def _build(form: Form, num_classes: int, in_channels: int, *, aux: bool) -> GoogLeNet:
    layer = form.layer
    stem = nn.Sequential(layer(in_channels, STEM, 7, 2), _max_pool(3), *_local_norm(form))
    conv2 = nn.Sequential(layer(STEM, REDUCE, 1), layer(REDUCE, CONV2, 3), *_local_norm(form), _max_pool(3))
    stages, channels = [nn.Sequential(conv2)], CONV2
    for rows, pool in zip(STAGES, (3, form.last_pool, None), strict=True):
        blocks: list[nn.Module] = []
        for row in rows:
            blocks.append(Inception(channels, row, form))
            channels = row.channels
        if pool is not None:
            blocks[-1] = nn.Sequential(blocks[-1], _max_pool(pool))
        stages.append(nn.Sequential(*blocks))
    heads = {cut: _aux_head(form, width, num_classes) for cut, width in AUX.items()} if aux else {}
    return GoogLeNet(stem, nn.Sequential(*stages), pooled_head(channels, num_classes, form.dropout), heads)


def _local_norm(form: Form) -> list[nn.Module]:
    """Local response norm where the form has it, with AlexNet's constants; torch divides alpha by the 5 channels."""
    return [LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)] if form.lrn else []


def _max_pool(kernel: int) -> nn.MaxPool2d:
    return nn.MaxPool2d(kernel, 2, ceil_mode=True)  # 112 -> 56 -> 28 -> 14 -> 7


def _aux_head(form: Form, in_channels: int, num_classes: int) -> nn.Sequential:
    """Section 5: average pooling, 1x1 convolution, two linear layers."""
    return nn.Sequential(
        form.aux_pool(), form.layer(in_channels, AUX_CHANNELS, 1), nn.Flatten(),
        nn.Linear(AUX_CHANNELS * AUX_SIDE * AUX_SIDE, AUX_HIDDEN), nn.ReLU(), nn.Dropout(0.7),
        nn.Linear(AUX_HIDDEN, num_classes),
    )  # fmt: skip

"""ResNet and its plain twin (He et al., CVPR 2016, https://arxiv.org/abs/1512.03385).

A twin has the same layers without the shortcuts (Fig. 3, middle and right). Input: (B, 3, H, W) of any side, 224 for
the ImageNet family and 32 for the CIFAR family.
Deviations: the paper does not say how the first pooling pads, here by one pixel on every side; plain twins of 50, 101
and 152 layers are our extension, and so are shortcuts other than A at 18 layers, A to C at 34, B at 50 to 152 and A in
the CIFAR family; the softmax layer starts near zero. `v1_5=True` moves the stride of a bottleneck to its 3x3
convolution, as published weights need it.
Paper, multiply-adds at 224: 1.8, 3.6, 3.8, 7.6 and 11.3 G for 18, 34, 50, 101 and 152 layers. Here: 1.81, 3.66, 3.86,
7.57 and 11.28 G with option B; the plain twins of 18 and 34 layers have 1.79 and 3.64 G. CIFAR, params: 0.27, 0.46,
0.66, 0.85 and 1.7 M for 20, 32, 44, 56 and 110 layers; here 0.270, 0.464, 0.659, 0.853 and 1.728 M.
"""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import UsageError, one_of
from .blocks import ConvNet, ConvNormAct, pooled_head


class Column(NamedTuple):
    """One column of Table 1."""

    bottleneck: bool
    blocks: tuple[int, int, int, int]  # in conv2_x to conv5_x


# Table 1 of the paper.
COLUMNS = {
    18: Column(False, (2, 2, 2, 2)),
    34: Column(False, (3, 4, 6, 3)),
    50: Column(True, (3, 4, 6, 3)),
    101: Column(True, (3, 4, 23, 3)),
    152: Column(True, (3, 8, 36, 3)),
}
WIDTHS = (64, 128, 256, 512)  # of conv2_x to conv5_x; sides 56, 28, 14, 7 for a 224 input
CIFAR_WIDTHS = (16, 32, 64)  # section 4.2; sides 32, 16, 8 for a 32 input
EXPANSION = 4  # output channels of a bottleneck over its width
SHORTCUTS = ("A", "B", "C")


class ZeroPad(nn.Module):
    """The input itself in a larger shape: every `stride`-th pixel, zeros as further channels (option A).

    The zeros stand behind the channels, as in https://github.com/facebookarchive/fb.resnet.torch, whose authors had the
    paper's; other code puts half of them in front.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.extra, self.stride = out_channels - in_channels, stride

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, ceil(H / stride), ceil(W / stride))."""
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.extra))


class Block(nn.Module):
    """relu(branch(x) + shortcut(x)), equations 1 and 2; a plain block has no shortcut."""

    def __init__(self, branch: nn.Sequential, shortcut: nn.Module | None) -> None:
        super().__init__()
        self.branch, self.shortcut, self.act = branch, shortcut, nn.ReLU()
        # in pictures; Fig. 5, right and left
        self.label = ("plain " if shortcut is None else "") + ("bottleneck" if len(branch) == 3 else "basic block")

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, branch's channels, H / stride, W / stride)."""
        y: Tensor = self.branch(x)
        if self.shortcut is not None:
            y = y + self.shortcut(x)
        out: Tensor = self.act(y)
        return out


def resnet(
    num_classes: int = 1000, in_channels: int = 3, *, depth: int, plain: bool = False, shortcut: str = "B",
    v1_5: bool = False,
) -> ConvNet:  # fmt: skip
    """Build a network of the ImageNet family.

    Args:
        num_classes: length of the logits.
        in_channels: of the image.
        depth: layers with weights, 18, 34, 50, 101 or 152.
        plain: leave all shortcuts out; `shortcut` then says nothing.
        shortcut: section 4.1: "A" pads with zeros where the shape changes, "B" projects there, "C" projects everywhere.
        v1_5: stride 2 in the 3x3 convolution of a bottleneck instead of its first 1x1; 18 and 34 layers have neither.

    Raises:
        UsageError: no such depth or shortcut.
    """
    if depth not in COLUMNS:
        raise one_of("depth of resnet", str(depth), map(str, COLUMNS))
    _check(shortcut)
    bottleneck, blocks = COLUMNS[depth]
    stages = _stages(WIDTHS, blocks, None if plain else shortcut, bottleneck=bottleneck, v1_5=v1_5)
    stem = nn.Sequential(ConvNormAct(in_channels, WIDTHS[0], 7, 2), nn.MaxPool2d(3, 2, padding=1))
    return ConvNet(stem, stages, pooled_head(WIDTHS[-1] * (EXPANSION if bottleneck else 1), num_classes))


def resnet_cifar(
    num_classes: int = 10, in_channels: int = 3, *, depth: int, plain: bool = False, shortcut: str = "A"
) -> ConvNet:
    """Build a network of the CIFAR family.

    Args:
        num_classes: length of the logits.
        in_channels: of the image.
        depth: layers with weights, 6n + 2; 20, 32, 44, 56, 110 and 1202 in the paper.
        plain: leave all shortcuts out; `shortcut` then says nothing.
        shortcut: as in `resnet`.

    Raises:
        UsageError: no such depth or shortcut.
    """
    if depth < 8 or depth % 6 != 2:
        raise UsageError(f"depth of resnet_cifar must be 6n + 2 with n at least 1, such as 20 or 110, got {depth}")
    _check(shortcut)
    stages = _stages(CIFAR_WIDTHS, [depth // 6] * 3, None if plain else shortcut)
    return ConvNet(ConvNormAct(in_channels, CIFAR_WIDTHS[0]), stages, pooled_head(CIFAR_WIDTHS[-1], num_classes))


def _check(shortcut: str) -> None:
    if shortcut not in SHORTCUTS:
        raise one_of("shortcut", shortcut, SHORTCUTS)


def _stages(
    widths: Sequence[int], blocks: Sequence[int], shortcut: str | None, *, bottleneck: bool = False, v1_5: bool = False
) -> nn.Sequential:
    """All rows of blocks, from a stem of `widths[0]` channels; each row but the first halves the map."""
    stages: list[nn.Module] = []
    channels = widths[0]
    for width, repeats in zip(widths, blocks, strict=True):
        stage = []
        for i in range(repeats):
            stride = 2 if i == 0 and stages else 1
            out = EXPANSION * width if bottleneck else width
            branch = _bottleneck(channels, width, stride, v1_5=v1_5) if bottleneck else _basic(channels, width, stride)
            stage.append(Block(branch, _shortcut(shortcut, channels, out, stride)))
            channels = out
        stages.append(nn.Sequential(*stage))
    return nn.Sequential(*stages)


def _basic(in_channels: int, width: int, stride: int) -> nn.Sequential:
    """Two 3x3 convolutions, `width` channels out (Fig. 5, left)."""
    return nn.Sequential(ConvNormAct(in_channels, width, 3, stride), ConvNormAct(width, width, act=None))


def _bottleneck(in_channels: int, width: int, stride: int, *, v1_5: bool) -> nn.Sequential:
    """1x1 down, 3x3, 1x1 up, 4 * `width` channels out (Fig. 5, right)."""
    first, second = (1, stride) if v1_5 else (stride, 1)
    return nn.Sequential(
        ConvNormAct(in_channels, width, 1, first),
        ConvNormAct(width, width, 3, second),
        ConvNormAct(width, EXPANSION * width, 1, act=None),
    )


def _shortcut(option: str | None, in_channels: int, out_channels: int, stride: int) -> nn.Module | None:
    """What a block adds to its branch; None in a plain network."""
    if option is None:
        return None
    same = stride == 1 and in_channels == out_channels
    if option == "C" or (option == "B" and not same):
        return ConvNormAct(in_channels, out_channels, 1, stride, act=None)  # W_s of equation 2
    return nn.Identity() if same else ZeroPad(in_channels, out_channels, stride)

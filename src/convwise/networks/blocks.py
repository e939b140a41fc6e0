"""Parts that several papers share; what one paper alone uses stands in that paper's file."""

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol, final, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .repeatable import AdaptiveAvgPool2d

Layer = Callable[..., nn.Module]  # (in_channels, out_channels, kernel, stride, *, groups, act) -> convolution layer


@runtime_checkable
class LastLayer(Protocol):
    """What `head[-1]` must offer where it is not a linear layer."""

    def for_classes(self, num_classes: int) -> nn.Module:
        """Build a fresh layer of the same kind, on the same device, for another number of classes."""
        ...


@final
class ConvNet(nn.Module):
    """A network as three parts, in this order, freshly initialised.

    Attributes:
        stem: (B, C, H, W) -> (B, C0, h0, w0); Identity where the paper has none.
        stages: one child per row of the paper's table, each a Sequential of blocks.
        head: (B, Cn, h, w) -> logits (B, K); head[-1] alone knows K.
    """

    def __init__(self, stem: nn.Module, stages: nn.Sequential, head: nn.Sequential) -> None:
        super().__init__()
        self.stem, self.stages, self.head = stem, stages, head
        init_weights(self)
        init_last_layer(head[-1])

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, K)."""
        logits: Tensor = self.head(self.stages(self.stem(x)))
        return logits


def init_weights(network: nn.Module) -> None:
    """Draw convolutions and linear layers anew: normal of variance 2 / fan-in, zero biases.

    Source: He et al. 2015, equation 10 (https://arxiv.org/abs/1502.01852). Fan-in rather than fan-out is our choice:
    it keeps the scale of the signal in networks without batch norm, and it counts grouped convolutions rightly.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def init_last_layer(layer: nn.Module) -> None:
    """Draw a softmax layer anew: normal of deviation 0.01, so that all classes start near 1 / K (our choice)."""
    init_weights(layer)
    if isinstance(layer, nn.Linear):
        nn.init.normal_(layer.weight, std=0.01)


class SameConv2d(nn.Conv2d):
    """Convolution padded with zeros as TensorFlow's "SAME": an odd row or column of padding goes below or right.

    At stride 2 and an even side this is not the symmetric padding of PyTorch, and weights trained with one lose
    points of top-1 with the other. Source: https://www.tensorflow.org/api_docs/python/tf/nn (notes on padding).
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, out_channels, ceil(H / stride), ceil(W / stride))."""
        left, right, top, bottom = self.pads(x.shape[2], x.shape[3])
        if (top, left) == (bottom, right):  # the convolution pads by itself, which spares a copy
            return F.conv2d(x, self.weight, self.bias, self.stride, (top, left), self.dilation, self.groups)
        x = F.pad(x, (left, right, top, bottom))
        return F.conv2d(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)

    def pads(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Columns of zeros left and right, rows above and below, for an input of this size in pixels."""
        return *self._pads(width, 1), *self._pads(height, 0)

    def _pads(self, side: int, axis: int) -> tuple[int, int]:
        kernel, stride = self.dilation[axis] * (self.kernel_size[axis] - 1) + 1, self.stride[axis]
        total = max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
        return total // 2, total - total // 2


class ConvNormAct(nn.Sequential):
    """Convolution without bias, batch norm, activation (`conv`, `norm`, `act`); odd kernels at stride 1 keep H and W.

    Args:
        in_channels, out_channels, kernel, stride, groups: as in `nn.Conv2d`.
        act: class of the activation; None for a linear layer.
        same: pad as TensorFlow does instead of symmetrically.
        eps: of the batch norm.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int = 3, stride: int = 1, *, groups: int = 1,
        act: type[nn.Module] | None = nn.ReLU, same: bool = False, eps: float = 1e-5,
    ) -> None:  # fmt: skip
        kind, padding = (SameConv2d, 0) if same else (nn.Conv2d, kernel // 2)
        conv = kind(in_channels, out_channels, kernel, stride, padding, groups=groups, bias=False)
        layers: OrderedDict[str, nn.Module] = OrderedDict(conv=conv, norm=nn.BatchNorm2d(out_channels, eps))
        if act is not None:
            layers["act"] = act()
        super().__init__(layers)


class ConvAct(nn.Sequential):
    """Convolution with bias, activation (`conv`, `act`), as networks had it before batch norm.

    Args:
        in_channels, out_channels, kernel, stride, padding, groups: as in `nn.Conv2d`; padding None keeps H and W at
            stride 1 where the kernel is odd.
        act: class of the activation.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int = 3, stride: int = 1, *, padding: int | None = None,
        groups: int = 1, act: type[nn.Module] = nn.ReLU,
    ) -> None:  # fmt: skip
        pad = kernel // 2 if padding is None else padding
        conv = nn.Conv2d(in_channels, out_channels, kernel, stride, pad, groups=groups)
        super().__init__(OrderedDict(conv=conv, act=act()))


class StochasticDepth(nn.Module):
    """In training, drop each sample's branch with probability `drop` and scale the others by 1 / (1 - drop).

    Source: Huang et al. 2016 (https://arxiv.org/abs/1603.09382), with the scale moved from evaluation to training.
    """

    def __init__(self, drop: float) -> None:
        super().__init__()
        self.drop = drop

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        if not self.training:
            return x
        keep = torch.rand(x.shape[0], 1, 1, 1, device=x.device) >= self.drop
        return x * keep / (1 - self.drop)


class InvertedResidual(nn.Module):
    """Expand (1x1), depthwise (k x k), gate (if any), project (1x1, linear); a shortcut where the shape stays.

    Args:
        in_channels, out_channels, kernel, stride: of the block; the depthwise layer carries the stride.
        expansion: hidden channels over input channels; 1 leaves the expanding layer out.
        layer: what a paper does to each of its convolutions, such as `partial(ConvNormAct, act=nn.ReLU6)`.
        drop: probability that training drops the branch of a sample, in [0, 1); blocks without shortcut ignore it.
        gate: hidden channels -> module that weighs the depthwise layer's maps, as squeeze-and-excitation does.

    Source: MobileNetV2, section 3.3 (https://arxiv.org/abs/1801.04381); with a gate EfficientNet, section 4
    (https://arxiv.org/abs/1905.11946).
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, expansion: int, stride: int, kernel: int = 3,
        layer: Layer = ConvNormAct, drop: float = 0.0, gate: Callable[[int], nn.Module] | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.shortcut = stride == 1 and in_channels == out_channels
        hidden = in_channels * expansion
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        if expansion != 1:
            layers["expand"] = layer(in_channels, hidden, 1)
        layers["depthwise"] = layer(hidden, hidden, kernel, stride, groups=hidden)
        if gate is not None:
            layers["gate"] = gate(hidden)
        layers["project"] = layer(hidden, out_channels, 1, act=None)
        if self.shortcut and drop > 0:  # without a shortcut nothing would be left of the sample
            layers["drop"] = StochasticDepth(drop)
        self.branch = nn.Sequential(layers)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> (B, out_channels, H / stride, W / stride)."""
        y: Tensor = self.branch(x)
        return x + y if self.shortcut else y


def round_channels(channels: float, divisor: int = 8) -> int:
    """Nearest multiple of `divisor`, halves up, raised by one step where it would lose more than a tenth.

    Source: MobileNetV2 reference code, https://github.com/tensorflow/models/tree/master/research/slim/nets/mobilenet
    """
    rounded = max(divisor, math.floor(channels / divisor + 0.5) * divisor)
    return rounded if rounded >= 0.9 * channels else rounded + divisor


def pooled_head(in_channels: int, num_classes: int, dropout: float = 0.0) -> nn.Sequential:
    """Mean over H and W, dropout, one linear layer: (B, in_channels, H, W) -> (B, num_classes)."""
    pool = nn.AdaptiveAvgPool2d(1)
    return nn.Sequential(pool, nn.Flatten(), nn.Dropout(dropout), nn.Linear(in_channels, num_classes))


def mlp_head(channels: int, side: int, num_classes: int, dropout: float) -> nn.Sequential:
    """Three linear layers on a whole map, 4096 wide: (B, channels, H, W) -> (B, num_classes).

    Maps of another side than `side` are averaged to it first, so that any resolution fits.
    """
    return nn.Sequential(
        AdaptiveAvgPool2d(side), nn.Flatten(),
        nn.Linear(channels * side * side, 4096), nn.ReLU(), nn.Dropout(dropout),
        nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(dropout),
        nn.Linear(4096, num_classes),
    )  # fmt: skip

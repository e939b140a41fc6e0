"""One convolution on an image of a known size."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import UsageError, one_of

Pair = tuple[int, int]  # rows, columns


@dataclass(frozen=True, kw_only=True)
class Convolution:
    """A two-dimensional convolution of one image.

    Attributes:
        height, width: of the input, pixels, before padding.
        in_channels: of the input.
        filters: channels of the output.
        kernel, stride, dilation: pixels.
        padding: rows and columns of zeros that are added in all, both sides together.
        groups: into which the channels are split; `in_channels` for a depthwise convolution.
        bias: whether each filter has one.

    Raises:
        UsageError: a size below 1, groups that do not divide the channels, a kernel that the input cannot hold.
    """

    height: int
    width: int
    in_channels: int
    filters: int
    kernel: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    groups: int = 1
    bias: bool = True
    dilation: Pair = (1, 1)

    def __post_init__(self) -> None:
        for name in ("height", "width", "in_channels", "filters", "kernel", "stride", "padding", "groups", "dilation"):
            size, least = getattr(self, name), 0 if name == "padding" else 1
            if min(size if isinstance(size, tuple) else (size,)) < least:
                got = times(size) if isinstance(size, tuple) else size
                raise UsageError(f"{name} of a convolution must be at least {least}, got {got}")
        for name in ("in_channels", "filters"):
            if getattr(self, name) % self.groups:
                raise UsageError(f"groups of a convolution must divide {name} {getattr(self, name)}, got {self.groups}")
        if min(self.output) < 1:
            span = (self._span(0), self._span(1))
            padded = (self.height + self.padding[0], self.width + self.padding[1])
            raise UsageError(
                f"kernel of a convolution spans {times(span)}, its padded input only {times(padded)}; "
                "give a larger input or a smaller kernel"
            )

    @property
    def output(self) -> Pair:
        """Height and width of the output."""
        rows = (self.height + self.padding[0] - self._span(0)) // self.stride[0] + 1
        return rows, (self.width + self.padding[1] - self._span(1)) // self.stride[1] + 1

    @property
    def params(self) -> int:
        """Weights and biases."""
        return self.filters * (math.prod(self.filter_shape) + self.bias)

    @property
    def macs(self) -> int:
        """As many for each number of the output as its filter has weights."""
        return math.prod(self.output) * self.filters * math.prod(self.filter_shape)

    @property
    def params_formula(self) -> str:
        """Such as "32 x (5 x 5 x 192 + 1)": filters, the weights of each, and its bias."""
        return f"{self.filters:,} x ({times(self.filter_shape)}{' + 1' if self.bias else ''})"

    @property
    def macs_formula(self) -> str:
        """Such as "28 x 28 x 32 x (5 x 5 x 192)": numbers of the output, and the weights behind each."""
        return f"{times((*self.output, self.filters))} x ({times(self.filter_shape)})"

    @property
    def filter_shape(self) -> tuple[int, int, int]:
        """Rows, columns and channels that one filter sees."""
        return *self.kernel, self.in_channels // self.groups

    def _span(self, axis: int) -> int:
        """Pixels from the first to the last that the kernel touches."""
        return self.dilation[axis] * (self.kernel[axis] - 1) + 1


def convolution(
    input_shape: tuple[int, int, int], filters: int, kernel: int | Pair, *, stride: int | Pair = 1,
    padding: str | int | Pair = "same", groups: int = 1, bias: bool = True,
) -> Convolution:  # fmt: skip
    """Describe a convolution as papers do.

    Args:
        input_shape: (C, H, W).
        filters: channels of the output.
        kernel: pixels; one number for a square.
        stride: pixels.
        padding: "same" (sides of the output are those of the input over the stride, rounded up), "valid" (none),
            or pixels on each side.
        groups: into which the channels are split.
        bias: whether each filter has one.

    Raises:
        UsageError: no such padding; further as `Convolution`.
    """
    channels, height, width = input_shape
    kernels = _pair(kernel)
    if not isinstance(padding, str):
        rows, columns = _pair(padding)
        total = (2 * rows, 2 * columns)
    elif padding in ("same", "valid"):
        total = (kernels[0] - 1, kernels[1] - 1) if padding == "same" else (0, 0)
    else:
        raise one_of("padding", padding, ("same", "valid"))
    return Convolution(
        height=height, width=width, in_channels=channels, filters=filters, kernel=kernels, stride=_pair(stride),
        padding=total, groups=groups, bias=bias,
    )  # fmt: skip


def times(sizes: Iterable[int]) -> str:
    """Write sizes as "28 x 28 x 192"."""
    return " x ".join(f"{size:,}" for size in sizes)


def _pair(size: int | Pair) -> Pair:
    return (size, size) if isinstance(size, int) else size

"""What one convolution would cost written otherwise: the substitutions that the papers made."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ..errors import UsageError
from .geometry import Convolution

PLAIN, BOTTLENECK, SEPARABLE, STACK = "plain", "1x1 bottleneck first", "depthwise-separable", "several 3x3"
COUNT = {2: "two", 3: "three", 4: "four", 5: "five"}


@dataclass(frozen=True)
class Alternative:
    """One way to write a convolution: same input, same shape of output, other weights.

    Attributes:
        kind: "plain", "1x1 bottleneck first", "depthwise-separable" or "several 3x3".
        convolutions: one after another.
        plain_macs: of the one convolution that it replaces.
        ratio_formula: `ratio` in closed form with the numbers in it, such as "1/5 + 1/9".
    """

    kind: str
    convolutions: tuple[Convolution, ...]
    plain_macs: int
    ratio_formula: str

    @property
    def name(self) -> str:
        """The kind; of several 3x3 how many, as "two 3x3"."""
        count = len(self.convolutions)
        return f"{COUNT.get(count, f'{count} layers of')} 3x3" if self.kind == STACK else self.kind

    @property
    def params(self) -> int:
        """Weights and biases."""
        return sum(c.params for c in self.convolutions)

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        return sum(c.macs for c in self.convolutions)

    @property
    def ratio(self) -> float:
        """Its macs over those of the plain convolution."""
        return self.macs / self.plain_macs

    @property
    def layers(self) -> str:
        """The convolutions in words, such as "1x1, 192 to 16 channels; 5x5, 16 to 32 channels, stride 2"."""
        return "; ".join(map(_words, self.convolutions))

    @property
    def params_formula(self) -> str:
        """The closed formula of the params with the numbers in it, and what it comes to."""
        return _summed((c.params_formula, c.params) for c in self.convolutions)

    @property
    def macs_formula(self) -> str:
        """The closed formula of the macs with the numbers in it, and what it comes to."""
        return _summed((c.macs_formula, c.macs) for c in self.convolutions)


def alternatives(plain: Convolution, bottleneck: int | None = None) -> tuple[Alternative, ...]:
    """The convolution as it is, and every other way to write it that fits it.

    - 1x1 bottleneck first (Inception, https://arxiv.org/abs/1409.4842, section 4): the kernel sees fewer channels.
    - depthwise-separable (MobileNet, https://arxiv.org/abs/1704.04861, section 3.1): one filter a channel, which
      carries stride and padding, then a 1x1 convolution; 1 / filters + 1 / pixels of the kernel of the macs.
    - several 3x3 for a larger odd square (VGG, https://arxiv.org/abs/1409.1556, section 2.3): the same field of view,
      each with as many filters; the last carries the stride.

    Convolutions of one pixel, or that see one channel at a time, stay as they are.

    Args:
        plain: the convolution.
        bottleneck: channels between; None for a quarter of the input's, as ResNet has it.

    Raises:
        UsageError: the bottleneck is below 1, or the convolution is grouped and cannot have one.
    """
    found = [Alternative(PLAIN, (plain,), plain.macs, "1")]
    reasons = unfit(plain, bottleneck)
    if BOTTLENECK not in reasons:
        found.append(_bottleneck(plain, plain.in_channels // 4 if bottleneck is None else bottleneck))
    if SEPARABLE not in reasons:
        found.append(_separable(plain))
    if STACK not in reasons:
        found.append(_stack(plain))
    return tuple(found)


def unfit(plain: Convolution, bottleneck: int | None = None) -> dict[str, str]:
    """The kinds of `Alternative` that `alternatives` leaves out for this convolution, each with the reason."""
    nothing_to_mix, narrow, unstackable = "", "", ""
    if plain.kernel == (1, 1):
        nothing_to_mix = "a kernel of one pixel does nothing but mix channels"
    elif plain.groups == plain.in_channels:
        nothing_to_mix = "each filter sees one channel, so nothing is mixed"
    if plain.groups > 1:
        narrow = "the convolution is grouped"
    elif plain.in_channels < 4:
        narrow = f"a quarter of {plain.in_channels} channels is less than one"
    if not _stackable(plain):
        unstackable = "only an odd square kernel above 3x3, not grouped or dilated, sees as far as several"
    reasons = {
        BOTTLENECK: "" if bottleneck is not None else nothing_to_mix or narrow,
        SEPARABLE: nothing_to_mix,
        STACK: nothing_to_mix or unstackable,
    }
    return {kind: reason for kind, reason in reasons.items() if reason}


def _bottleneck(plain: Convolution, channels: int) -> Alternative:
    if channels < 1:
        raise UsageError(f"bottleneck must be at least 1 channel, got {channels}")
    if plain.groups > 1:
        raise UsageError(f"bottleneck needs a convolution that is not grouped, got {plain.groups} groups")
    before = _pointwise(plain, plain.in_channels, channels, (plain.height, plain.width))
    after = replace(plain, in_channels=channels)
    return Alternative(BOTTLENECK, (before, after), plain.macs, _over((before, after), plain))


def _separable(plain: Convolution) -> Alternative:
    depthwise = replace(plain, filters=plain.in_channels, groups=plain.in_channels)
    pointwise = _pointwise(plain, plain.in_channels, plain.filters, plain.output)
    ratio = f"{plain.groups}/{plain.filters} + {plain.groups}/{plain.kernel[0] * plain.kernel[1]}"
    return Alternative(SEPARABLE, (depthwise, pointwise), plain.macs, ratio)


def _stackable(plain: Convolution) -> bool:
    side = plain.kernel[0]
    square = plain.kernel == (side, side) and side > 3 and side % 2 == 1
    return square and plain.dilation == (1, 1) and plain.groups == 1


def _stack(plain: Convolution) -> Alternative:
    """3x3 convolutions that see as far as the one; its padding is shared out among them."""
    number = plain.kernel[0] // 2
    layers: list[Convolution] = []
    height, width, channels = plain.height, plain.width, plain.in_channels
    for i in range(number):
        rows, columns = (total // number + (i < total % number) for total in plain.padding)
        stride = plain.stride if i == number - 1 else (1, 1)
        layer = replace(
            plain, height=height, width=width, in_channels=channels, kernel=(3, 3), padding=(rows, columns),
            stride=stride,
        )  # fmt: skip
        layers.append(layer)
        (height, width), channels = layer.output, plain.filters
    return Alternative(STACK, tuple(layers), plain.macs, _over(layers, plain))


def _pointwise(plain: Convolution, in_channels: int, filters: int, sides: tuple[int, int]) -> Convolution:
    return Convolution(
        height=sides[0], width=sides[1], in_channels=in_channels, filters=filters, kernel=(1, 1), bias=plain.bias
    )


def _words(c: Convolution) -> str:
    rows, columns = c.stride
    groups = f", in {c.groups:,} groups" if c.groups > 1 else ""
    stride = f", stride {rows if rows == columns else f'{rows}x{columns}'}" if max(c.stride) > 1 else ""
    return f"{c.kernel[0]}x{c.kernel[1]}, {c.in_channels:,} to {c.filters:,} channels{groups}{stride}"


def _over(layers: Iterable[Convolution], plain: Convolution) -> str:
    """The quotient of the macs as text."""
    return f"({' + '.join(f'{layer.macs:,}' for layer in layers)}) / {plain.macs:,}"


def _summed(terms: Iterable[tuple[str, int]]) -> str:
    """Formulas and values as "a + b = 1 + 2 = 3"."""
    formulas, values = zip(*terms, strict=True)
    parts = [" + ".join(formulas), " + ".join(f"{value:,}" for value in values), f"{sum(values):,}"]
    return " = ".join(dict.fromkeys(parts))  # a single term has its value once

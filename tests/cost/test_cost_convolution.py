"""One convolution and its alternatives, by the lecture's numbers and by modules that do the same."""

import re
from fractions import Fraction

import pytest
from torch import nn

from convwise.cost import Alternative, Convolution, alternatives, analyze, convolution
from convwise.errors import UsageError


def by_name(found: tuple[Alternative, ...]) -> dict[str, Alternative]:
    return {alternative.name: alternative for alternative in found}


def test_a_bottleneck_makes_a_5x5_ten_times_cheaper() -> None:
    """The numbers of the Inception lecture: 28 x 28 x 192, 32 filters of 5 x 5, 16 channels between."""
    found = by_name(alternatives(convolution((192, 28, 28), 32, 5, bias=False), bottleneck=16))
    plain, bottleneck = found["plain"], found["1x1 bottleneck first"]
    assert plain.macs == 120_422_400
    assert plain.macs_formula == "28 x 28 x 32 x (5 x 5 x 192) = 120,422,400"
    assert [c.macs for c in bottleneck.convolutions] == [2_408_448, 10_035_200]
    assert bottleneck.macs == 12_443_648
    assert bottleneck.macs_formula == (
        "28 x 28 x 16 x (1 x 1 x 192) + 28 x 28 x 32 x (5 x 5 x 16) = 2,408,448 + 10,035,200 = 12,443,648"
    )
    assert bottleneck.ratio == 12_443_648 / 120_422_400
    assert bottleneck.ratio_formula == "(2,408,448 + 10,035,200) / 120,422,400"
    assert bottleneck.params_formula == "16 x (1 x 1 x 192) + 32 x (5 x 5 x 16) = 3,072 + 12,800 = 15,872"
    assert (plain.ratio, plain.ratio_formula, plain.params) == (1, "1", 32 * 25 * 192)


def test_depthwise_separable_costs_one_over_filters_and_one_over_pixels() -> None:
    """The numbers of the MobileNet lecture: 6 x 6 x 3, five valid filters of 3 x 3."""
    found = by_name(alternatives(convolution((3, 6, 6), 5, 3, padding="valid", bias=False)))
    plain, separable = found["plain"], found["depthwise-separable"]
    assert plain.macs == 2_160
    assert [c.macs for c in separable.convolutions] == [432, 240]
    assert separable.macs == 672
    assert separable.macs_formula == "4 x 4 x 3 x (3 x 3 x 1) + 4 x 4 x 5 x (1 x 1 x 3) = 432 + 240 = 672"
    assert separable.ratio_formula == "1/5 + 1/9"
    assert round(separable.ratio, 2) == 0.31


@pytest.mark.parametrize(
    ("plain", "ratio"),
    [
        (convolution((3, 6, 6), 5, 3, padding="valid"), Fraction(1, 5) + Fraction(1, 9)),
        (convolution((512, 14, 14), 512, 3), Fraction(1, 512) + Fraction(1, 9)),
        (convolution((8, 9, 9), 6, (3, 5), stride=2), Fraction(1, 6) + Fraction(1, 15)),
        (convolution((48, 27, 27), 128, 5, groups=2), Fraction(2, 128) + Fraction(2, 25)),
    ],
)
def test_the_ratio_of_depthwise_separable_is_the_closed_formula(plain: Convolution, ratio: Fraction) -> None:
    separable = by_name(alternatives(plain))["depthwise-separable"]
    assert Fraction(separable.macs, plain.macs) == ratio
    assert sum(Fraction(term) for term in separable.ratio_formula.split(" + ")) == ratio


def test_two_3x3_see_as_far_as_a_5x5() -> None:
    found = by_name(alternatives(convolution((64, 28, 28), 64, 5, bias=False)))["two 3x3"]
    assert found.macs == 2 * 28 * 28 * 64 * 64 * 9
    assert found.ratio == 18 / 25  # VGG, section 2.3: 2 * 9 * C^2 weights against 25 * C^2
    assert [(c.in_channels, c.filters, c.kernel, c.padding) for c in found.convolutions] == [
        (64, 64, (3, 3), (2, 2))
    ] * 2


def test_the_last_of_several_3x3_carries_the_stride_and_the_padding_is_shared_out() -> None:
    plain = convolution((3, 227, 227), 96, 11, stride=4, padding=2)
    found = by_name(alternatives(plain))["five 3x3"]
    assert [c.stride for c in found.convolutions] == [(1, 1)] * 4 + [(4, 4)]
    assert [c.padding for c in found.convolutions] == [(1, 1)] * 4 + [(0, 0)]
    assert found.convolutions[-1].output == plain.output == (56, 56)


PLAINS = {
    "same": convolution((8, 12, 10), 6, 3),
    "valid": convolution((8, 12, 10), 6, 5, padding="valid"),
    "strided": convolution((8, 13, 10), 6, 7, stride=2, padding=1, bias=False),
    "pair": convolution((8, 13, 10), 6, (5, 3), stride=(2, 1), padding=(2, 0)),
    "grouped": convolution((8, 12, 10), 6, 5, groups=2, padding=2),
    "dilated": Convolution(
        height=12, width=10, in_channels=8, filters=6, kernel=(3, 3), padding=(4, 4), dilation=(2, 2)
    ),
}  # fmt: skip


def module_of(c: Convolution) -> nn.Conv2d:
    padding = (c.padding[0] // 2, c.padding[1] // 2)
    return nn.Conv2d(
        c.in_channels, c.filters, c.kernel, c.stride, padding, dilation=c.dilation, groups=c.groups, bias=c.bias
    )


@pytest.mark.parametrize("plain", PLAINS.values(), ids=PLAINS)
def test_alternatives_cost_what_modules_of_them_cost(plain: Convolution) -> None:
    shape = (plain.in_channels, plain.height, plain.width)
    found = alternatives(plain)
    assert len(found) > 1
    for alternative in found:
        layers = alternative.convolutions
        if any(side % 2 for c in layers for side in c.padding):  # torch pads both sides alike
            assert layers[-1].output == plain.output
            continue
        report = analyze(nn.Sequential(*map(module_of, layers)), shape)
        assert (report.params, report.macs) == (alternative.params, alternative.macs)
        assert report.layers[-1].output_shape == (plain.filters, *plain.output)


@pytest.mark.parametrize(
    ("plain", "names"),
    [
        (convolution((64, 8, 8), 64, 3), ["plain", "1x1 bottleneck first", "depthwise-separable"]),
        (convolution((64, 8, 8), 64, 7), ["plain", "1x1 bottleneck first", "depthwise-separable", "three 3x3"]),
        (convolution((64, 9, 9), 64, (1, 7)), ["plain", "1x1 bottleneck first", "depthwise-separable"]),
        (convolution((64, 8, 8), 64, 4), ["plain", "1x1 bottleneck first", "depthwise-separable"]),
        (convolution((64, 8, 8), 64, 5, groups=4), ["plain", "depthwise-separable"]),
        (convolution((64, 8, 8), 64, 1), ["plain"]),
        (convolution((64, 8, 8), 64, 3, groups=64), ["plain"]),
        (convolution((1, 28, 28), 6, 3), ["plain"]),
        (convolution((3, 28, 28), 6, 3), ["plain", "depthwise-separable"]),
        (convolution((8, 40, 40), 8, 15), ["plain", "1x1 bottleneck first", "depthwise-separable", "7 layers of 3x3"]),
    ],
)
def test_only_what_fits_is_offered(plain: Convolution, names: list[str]) -> None:
    assert [alternative.name for alternative in alternatives(plain)] == names


def test_a_bottleneck_is_a_quarter_unless_told() -> None:
    plain = convolution((64, 8, 8), 64, 3)
    assert alternatives(plain)[1].convolutions[0].filters == 16
    assert alternatives(plain, 8)[1].convolutions[0].filters == 8
    assert alternatives(convolution((64, 8, 8), 64, 1), 8)[1].name == "1x1 bottleneck first"  # asked for


@pytest.mark.parametrize(
    ("padding", "kernel", "stride", "output"),
    [
        ("same", 3, 1, (28, 28)),
        ("same", 4, 1, (28, 28)),
        ("same", 3, 2, (14, 14)),
        ("same", 5, 3, (10, 10)),
        ("valid", 5, 1, (24, 24)),
        ("valid", 28, 1, (1, 1)),
        (1, 3, 2, (14, 14)),
        ((0, 2), 5, 1, (24, 28)),
    ],
)
def test_sides_of_the_output(
    padding: str | int | tuple[int, int], kernel: int, stride: int, output: tuple[int, int]
) -> None:
    assert convolution((3, 28, 28), 4, kernel, stride=stride, padding=padding).output == output


SIZES = {"height": 8, "width": 8, "in_channels": 4, "filters": 6}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"height": 0}, "height of a convolution must be at least 1, got 0"),
        ({"filters": -2}, "filters of a convolution must be at least 1, got -2"),
        ({"kernel": (3, 0)}, "kernel of a convolution must be at least 1, got 3 x 0"),
        ({"stride": (0, 1)}, "stride of a convolution must be at least 1, got 0 x 1"),
        ({"padding": (-1, 0)}, "padding of a convolution must be at least 0, got -1 x 0"),
        ({"groups": 0}, "groups of a convolution must be at least 1, got 0"),
        ({"dilation": (1, 0)}, "dilation of a convolution must be at least 1, got 1 x 0"),
        ({"groups": 3}, "groups of a convolution must divide in_channels 4, got 3"),
        ({"groups": 4}, "groups of a convolution must divide filters 6, got 4"),
        (
            {"kernel": (3, 5), "dilation": (1, 3), "padding": (0, 2)},
            (
                "kernel of a convolution spans 3 x 13, its padded input only 8 x 10; "
                "give a larger input or a smaller kernel"
            ),
        ),
    ],
)
def test_sizes_that_make_no_convolution_are_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=f"^{re.escape(words)}$"):
        Convolution(**{**SIZES, "kernel": (3, 3), **changes})  # type: ignore[arg-type]


def test_an_unknown_padding_is_refused() -> None:
    with pytest.raises(
        UsageError, match=re.escape("padding must be one of same, valid, got 'sane'; did you mean 'same'?")
    ):
        convolution((3, 8, 8), 4, 3, padding="sane")


def test_a_bottleneck_that_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^bottleneck must be at least 1 channel, got 0$"):
        alternatives(convolution((64, 8, 8), 64, 3), 0)
    with pytest.raises(UsageError, match=r"^bottleneck needs a convolution that is not grouped, got 2 groups$"):
        alternatives(convolution((64, 8, 8), 64, 3, groups=2), 8)

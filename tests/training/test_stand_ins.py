from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.grad import conv2d_weight

from convwise.networks.blocks import SameConv2d
from convwise.training.precision import products_in
from convwise.training.stand_ins import STAND_INS, StandIns

CHANNELS = 6
in_both_orders = pytest.mark.parametrize(
    "order", [torch.channels_last, torch.contiguous_format], ids=["channels_last", "channels_first"]
)

# kernel, stride, padding, side: odd and even, maps smaller than the kernel, strides that leave a row out
WIDE = (
    (5, 1, 2, (4, 4)), (5, 1, 2, (3, 3)), (5, 1, 2, (1, 1)), (5, 2, 2, (7, 7)), (5, 2, 2, (8, 5)), (5, 2, 0, (10, 9)),
    (7, 1, 3, (9, 6)), (7, 3, 2, (11, 12)), (4, 1, 1, (6, 6)), ((3, 5), (2, 1), (0, 2), (7, 8)),
    ((5, 4), 1, (4, 3), (5, 5)),
)  # fmt: skip
NARROW = ((3, 1, 1, (6, 7)), (3, 2, 1, (7, 6)), ((5, 3), 1, (2, 1), (5, 5)), (1, 1, 0, (4, 4)))


def depthwise(kernel: int, stride: int, padding: int, *, multiplier: int = 1, bias: bool = False) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(CHANNELS, multiplier * CHANNELS, kernel, stride, padding, groups=CHANNELS, bias=bias)


def passed(layer: nn.Module, x: Tensor) -> tuple[Tensor, ...]:
    """Output, gradient of x, and gradients of the parameters, of the sum of the output's squares."""
    x = x.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    y = layer(x)
    return y.detach(), *torch.autograd.grad(y.float().square().sum(), [x, *layer.parameters()])


def assert_same(layer: nn.Module, x: Tensor, tolerance: float) -> None:
    """Relative to the largest number of each."""
    expected = passed(layer, x)
    with StandIns():
        found = passed(layer, x)
    for got, right in zip(found, expected, strict=True):
        assert got.shape == right.shape
        assert (got - right).abs().max() <= tolerance * right.abs().max()


@in_both_orders
@pytest.mark.parametrize(("kernel", "stride", "padding", "side"), [*WIDE, *NARROW])
def test_gradients_are_those_of_torch(
    kernel: int, stride: int, padding: int, side: tuple[int, int], order: torch.memory_format
) -> None:  # fmt: skip
    layer = depthwise(kernel, stride, padding)
    x = torch.randn(3, CHANNELS, *side).contiguous(memory_format=order)
    assert_same(layer, x, 1e-5)
    assert_same(layer.double(), x.double(), 1e-13)


@pytest.mark.parametrize("side", [4, 7, 8])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [3, 5])
def test_gradients_are_those_of_torch_where_zeros_pad_as_tensorflow_does(kernel: int, stride: int, side: int) -> None:
    layer = SameConv2d(CHANNELS, CHANNELS, kernel, stride, groups=CHANNELS, bias=False)
    assert_same(layer, torch.randn(2, CHANNELS, side, side), 1e-5)


def test_several_filters_a_channel_and_biases_have_the_gradients_of_torch() -> None:
    assert_same(depthwise(5, 2, 2, multiplier=2, bias=True), torch.randn(3, CHANNELS, 9, 8), 1e-5)


def test_the_gradient_is_a_derivative() -> None:
    layer, x = depthwise(5, 2, 2).double(), torch.randn(2, CHANNELS, 5, 6, dtype=torch.float64, requires_grad=True)
    with StandIns():
        assert torch.autograd.gradcheck(lambda x, w: F.conv2d(x, w, None, 2, 2, 1, CHANNELS), (x, layer.weight))


@pytest.mark.parametrize("kernel", [4, 5, 7])
def test_torch_is_asked_for_gradients_of_three_columns_at_most(kernel: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Mock(wraps=conv2d_weight)
    monkeypatch.setattr("convwise.training.stand_ins.conv2d_weight", asked)
    with StandIns():
        passed(depthwise(kernel, 1, 2), torch.randn(2, CHANNELS, 6, 6))
    assert [call.args[1][3] for call in asked.call_args_list] == [3] * -(-kernel // 3)


def test_what_needs_no_gradient_gets_none() -> None:
    layer, x = depthwise(5, 1, 2), torch.randn(2, CHANNELS, 6, 6)
    expected = passed(layer, x)
    with StandIns():
        layer(x).square().sum().backward()
        of_x = torch.autograd.grad(layer.requires_grad_(False)(x.requires_grad_()).square().sum(), x)[0]
    assert layer.weight.grad is not None
    torch.testing.assert_close((of_x, layer.weight.grad), expected[1:])


@pytest.mark.parametrize(
    "layer",
    [
        lambda: nn.Conv2d(CHANNELS, 8, 5, padding=2), lambda: nn.Conv2d(CHANNELS, 8, 1),
        lambda: nn.Conv2d(CHANNELS, CHANNELS, 5, groups=2),
        lambda: nn.Conv2d(CHANNELS, CHANNELS, 5, padding="same", groups=CHANNELS),
        lambda: nn.Conv2d(CHANNELS, CHANNELS, 5, dilation=2, padding=4, groups=CHANNELS),
        lambda: nn.AdaptiveAvgPool2d(2), lambda: nn.AdaptiveAvgPool2d((1, None)),
    ],
    ids=["plain", "1x1", "grouped", "padded by a word", "dilated", "four cells", "rows"],
)  # fmt: skip
def test_all_else_is_torch_to_the_bit(layer: Callable[[], nn.Module]) -> None:
    assert_same(layer(), torch.randn(2, CHANNELS, 10, 10), 0.0)


class Called(nn.Module):
    """A layer that calls a function of torch by keyword."""

    def __init__(self, function: Callable[..., Tensor], weight: Tensor | None = None, **given: Any) -> None:
        super().__init__()
        self.function, self.given = function, given
        self.weight = None if weight is None else nn.Parameter(weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(input=x, **self.given, **({} if self.weight is None else {"weight": self.weight}))


@pytest.mark.parametrize("sizes", [(2, 2), (2,), 2], ids=["two", "one in a list", "one"])
@pytest.mark.parametrize("kernel", [3, 5])
def test_convolutions_take_the_keywords_of_torch(kernel: int, sizes: int | tuple[int, ...]) -> None:
    for many in (sizes, sizes if isinstance(sizes, int) else [*sizes]):
        layer = Called(
            F.conv2d, torch.randn(CHANNELS, 1, kernel, kernel), bias=torch.randn(CHANNELS), stride=many, padding=many,
            dilation=[1], groups=CHANNELS,
        )  # fmt: skip
        assert_same(layer, torch.randn(2, CHANNELS, 9, 8), 1e-5)


@pytest.mark.parametrize("cells", [1, (1, 1), [1, 1], 2, (None, 1)])
def test_averages_take_the_keywords_of_torch(cells: Any) -> None:
    assert_same(Called(F.adaptive_avg_pool2d, output_size=cells), torch.randn(2, CHANNELS, 7, 5), 1e-6)


def test_every_stand_in_is_called_by_keyword_above() -> None:
    assert set(STAND_INS) == {F.conv2d, F.adaptive_avg_pool2d}


def test_single_images_may_lack_the_axis_of_the_batch() -> None:
    assert_same(depthwise(5, 1, 2), torch.randn(CHANNELS, 6, 6), 0.0)
    assert_same(nn.AdaptiveAvgPool2d(1), torch.randn(CHANNELS, 6, 6), 0.0)


@pytest.mark.parametrize("kernel", [3, 5])
def test_depthwise_convolutions_that_stride_work_in_float32_under_bfloat16(kernel: int) -> None:
    layer, x = depthwise(kernel, 2, kernel // 2), torch.randn(3, CHANNELS, 8, 8)
    exact = layer(x)
    with products_in("bfloat16", "cpu"):
        got = layer(x)
    assert torch.equal(got, exact.bfloat16())


@pytest.mark.parametrize("kernel", [3, 5])
def test_those_that_do_not_stride_work_in_bfloat16(kernel: int) -> None:
    layer, x = depthwise(kernel, 1, kernel // 2), torch.randn(3, CHANNELS, 8, 8)
    low = F.conv2d(x.bfloat16(), layer.weight.bfloat16(), None, 1, kernel // 2, 1, CHANNELS)
    expected = passed(layer, x)
    with products_in("bfloat16", "cpu"):
        got = layer(x)
        found = passed(layer, x)
    assert got.dtype == torch.bfloat16
    assert torch.equal(got, low)
    for one, right in zip(found, expected, strict=True):
        assert (one - right).abs().max() <= 2**-6 * right.abs().max()  # three roundings of 2**-9 each, and their sums
    assert found[2].dtype == torch.float32  # what the optimiser gets


def test_errors_are_those_of_torch_and_leave_bfloat16_on() -> None:
    layer = depthwise(5, 2, 2)
    with products_in("bfloat16", "cpu"):
        with pytest.raises(RuntimeError, match="Expected 3D"):
            nn.Conv2d(CHANNELS, CHANNELS, 3)(torch.rand(2, CHANNELS))
        with pytest.raises(RuntimeError, match="expected input"):
            layer(torch.rand(2, CHANNELS - 1, 8, 8))
        with pytest.raises(RuntimeError, match="can't be greater than actual input size"):
            depthwise(5, 2, 0)(torch.rand(2, CHANNELS, 3, 3))
        assert torch.is_autocast_enabled("cpu")
    assert not torch.is_autocast_enabled("cpu")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_forward_pass_on_a_cpu_is_stood_in_for_and_only_that(precision: str) -> None:
    layer, x = depthwise(5, 1, 2), torch.randn(2, CHANNELS, 6, 6)
    with products_in(precision, "cpu"):
        inside = passed_through(layer(x))
    assert "_WideBackward" in inside
    assert "_WideBackward" not in passed_through(layer(x))


def passed_through(y: Tensor) -> list[str]:
    """Names of the gradient's first two functions."""
    assert y.grad_fn is not None
    behind = y.grad_fn.next_functions[0][0]
    return [y.grad_fn.name(), behind.name() if behind else ""]


@in_both_orders
def test_means_of_maps_are_those_of_torch_to_the_bit(order: torch.memory_format) -> None:
    x = torch.randn(2, CHANNELS, 7, 5).contiguous(memory_format=order)
    for cells in (1, (1, 1)):
        assert_same(nn.AdaptiveAvgPool2d(cells), x, 0.0)
        assert_same(nn.AdaptiveAvgPool2d(cells), x.bfloat16(), 0.0)


def test_the_gradient_of_a_mean_keeps_the_order_of_memory() -> None:
    def of_x(pool: nn.Module) -> Tensor:
        x = torch.randn(2, CHANNELS, 7, 5).contiguous(memory_format=torch.channels_last).requires_grad_()
        (gradient,) = torch.autograd.grad(pool(F.relu6(x)).sum(), x)
        return gradient

    pool = nn.AdaptiveAvgPool2d(1)
    with StandIns():
        found = of_x(pool)
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert not of_x(pool).is_contiguous(memory_format=torch.channels_last)  # torch's: else this stand-in may go

"""Layers in a form of our own: torch's numbers, by operators that a GPU repeats to the bit."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from convwise import networks
from convwise.networks.repeatable import AdaptiveAvgPool2d, LocalResponseNorm
from convwise.training.loss import all_logits

# Of `torch.use_deterministic_algorithms`: gradients without such an algorithm, as far as a network could have them.
BY_CHANCE = {
    "AvgPool3DBackward0", "AdaptiveAvgPool2DBackward0", "AdaptiveAvgPool3DBackward0", "AdaptiveMaxPool2DBackward0",
    "FractionalMaxPool2DBackward0", "ReflectionPad2DBackward0", "UpsampleBilinear2DBackward0",
    "UpsampleBicubic2DBackward0", "GridSampler2DBackward0", "MaxUnpool2DBackward0",
}  # fmt: skip


def with_gradient(layer: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """What a layer gives, and the gradient of its input where each output has another weight."""
    x = x.detach().requires_grad_()
    y = layer(x)
    y.backward(torch.linspace(-1, 2, y.numel(), dtype=y.dtype).reshape(y.shape))
    assert x.grad is not None
    return y.detach(), x.grad


def operators(*outputs: Tensor) -> Iterator[str]:
    """Names of the backward operators behind some tensors."""
    waiting, seen = [y.grad_fn for y in outputs], set()
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            yield node.name()
            waiting += [before for before, _ in node.next_functions]


@pytest.mark.parametrize("shape", [(2, 96, 5, 4), (3, 2, 2, 2), (1, 1, 3, 3)])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_the_response_norm_is_that_of_torch(size: int, shape: tuple[int, ...], order: torch.memory_format) -> None:
    x = (100 * torch.randn(shape, generator=torch.Generator().manual_seed(size))).contiguous(memory_format=order)
    constants = size, 5e-4, 0.75, 2.0
    y, gradient = with_gradient(LocalResponseNorm(*constants), x)
    expected, expected_gradient = with_gradient(nn.LocalResponseNorm(*constants), x)
    torch.testing.assert_close(y, expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-6, atol=1e-6)
    assert y.is_contiguous(memory_format=order)


def test_the_response_norm_of_three_channels_by_hand() -> None:
    x = torch.tensor([1.0, 2.0, 3.0]).reshape(1, 3, 1, 1)
    y = LocalResponseNorm(3, alpha=0.3, beta=0.5, k=2.0)(x).flatten()  # alpha / size is 0.1
    assert y.tolist() == pytest.approx([1 / 2.5**0.5, 2 / 3.4**0.5, 3 / 3.3**0.5])  # 1 + 4, 1 + 4 + 9, 4 + 9


def test_the_response_norm_sums_in_float32_what_comes_in_bfloat16() -> None:
    x = torch.full((1, 5, 1, 1), 3.0, dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        y = LocalResponseNorm(5, 5e-4, 0.75, 2.0)(x)
    assert y.dtype == torch.float32
    assert y[0, 2].item() == pytest.approx(3 / (2 + 1e-4 * 45) ** 0.75, rel=1e-6)  # bfloat16 has no 2.0045


@pytest.mark.parametrize("cells", [1, 4, 6, 7, 14])
@pytest.mark.parametrize("sides", [(1, 1), (2, 3), (6, 6), (7, 14), (13, 12), (28, 15)])
def test_pooling_to_a_side_is_that_of_torch(cells: int, sides: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *sides, generator=torch.Generator().manual_seed(cells))
    ours = with_gradient(AdaptiveAvgPool2d(cells), x)
    for mine, theirs in zip(ours, with_gradient(nn.AdaptiveAvgPool2d(cells), x), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("layer", "name"),
    [(nn.LocalResponseNorm(5), "AvgPool3DBackward0"), (nn.AdaptiveAvgPool2d(3), "AdaptiveAvgPool2DBackward0")],
)
def test_torchs_own_layers_are_seen_to_sum_by_chance(layer: nn.Module, name: str) -> None:
    assert name in BY_CHANCE.intersection(operators(layer(torch.rand(1, 5, 4, 4, requires_grad=True))))


@pytest.mark.parametrize("name", networks.names())
def test_no_gradient_of_a_network_is_summed_by_chance_on_a_gpu(name: str) -> None:
    entry = networks.describe(name)
    arguments: dict[str, Any] = {"aux": True} if "aux" in entry.arguments else {}
    for side in {entry.smallest, entry.resolution, entry.resolution + 32}:
        arguments |= networks.fitted_to(name, side)
        with torch.device("meta"):
            network = networks.create(name, 5, arguments)
            x = torch.empty(2, *networks.input_shape(name, arguments, side))
        found = set(operators(*all_logits(network, x)))
        assert "ConvolutionBackward0" in found
        assert not found & BY_CHANCE

import copy

import pytest
import torch
from torch import Tensor, nn

from convwise.training.precision import products_in, spare_depthwise


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 8, 3, groups=2))


def dtypes(net: nn.Sequential) -> list[tuple[torch.dtype, torch.dtype]]:
    """Of what each convolution computes in and hands on, seen by hooks behind all others."""
    seen: list[tuple[torch.dtype, torch.dtype]] = []

    def look(_module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen.append((inputs[0].dtype, output.dtype))

    handles = [module.register_forward_hook(look) for module in net]
    with products_in("bfloat16", "cpu"):
        net(torch.rand(2, 3, 8, 8))
    for handle in handles:
        handle.remove()
    return seen


def test_only_depthwise_convolutions_are_spared() -> None:
    net = network()
    spare_depthwise(net)
    low, full = torch.bfloat16, torch.float32
    # the hook sees the input that the module computes with; autocast casts inside the operator
    assert dtypes(net) == [(full, low), (full, low), (low, low)]
    assert dtypes(copy.deepcopy(net)) == dtypes(net)


def test_a_depthwise_convolution_computes_with_all_bits() -> None:
    net = network()
    x = torch.rand(2, 8, 8, 8)
    exact = net[1](x)
    spare_depthwise(net)
    with products_in("bfloat16", "cpu"):
        got = net[1](x)
    assert torch.equal(got, exact.bfloat16())
    assert torch.equal(net[1](x), exact)  # outside, nothing changes


def test_an_error_leaves_bfloat16_on() -> None:
    net = network()
    spare_depthwise(net)
    with products_in("bfloat16", "cpu"):
        with pytest.raises(RuntimeError):
            net[1](torch.rand(2, 5, 8, 8))
        assert torch.is_autocast_enabled("cpu")
    assert not torch.is_autocast_enabled("cpu")

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from convwise import networks
from convwise.cost import CostReport, analyze


def test_lenet_is_summed_by_hand() -> None:
    params = (25 * 6 + 6) + (25 * 6 * 16 + 16) + (400 * 120 + 120) + (120 * 84 + 84) + (84 * 10 + 10)
    macs = 28 * 28 * 6 * 25 + 10 * 10 * 16 * 25 * 6 + 400 * 120 + 120 * 84 + 84 * 10
    assert analyze(networks.create("lenet5", 10), (1, 28, 28)) == CostReport(params, macs, 4 * params)


@pytest.mark.parametrize("side", [224, 65])
def test_lite0_agrees_with_an_independent_counter(side: int) -> None:
    network = networks.create("efficientnet_lite0").eval()
    found = analyze(network, (3, side, side))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, side, side))
    assert found.macs * 2 == counter.get_total_flops()
    assert found.params == sum(p.numel() for p in network.parameters()) == 4_652_008


@pytest.mark.parametrize(
    ("layer", "shape", "macs"),
    [
        (nn.Conv2d(6, 8, (3, 5), stride=2, padding=(1, 2)), (6, 8, 10), 4 * 5 * 8 * 6 * 15),
        (nn.Conv2d(6, 12, 3, groups=3, bias=False), (6, 5, 5), 3 * 3 * 12 * 2 * 9),
        (nn.Conv2d(4, 4, 3, groups=4, dilation=2), (4, 7, 7), 3 * 3 * 4 * 9),
        (nn.Linear(10, 7), (10,), 70),
        (nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2)), (3, 4, 4), 0),
    ],
)
def test_macs_by_formula(layer: nn.Module, shape: tuple[int, ...], macs: int) -> None:
    assert analyze(layer, shape).macs == macs


def test_a_layer_that_runs_twice_counts_twice_and_its_params_once() -> None:
    layer = nn.Linear(4, 4)
    assert analyze(nn.Sequential(layer, layer), (4,)) == CostReport(20, 32, 80)


def test_bytes_are_as_stored_and_buffers_do_not_count() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    network[1].half()
    found = analyze(nn.Sequential(network[0]), (1, 3, 3))
    assert found.weight_bytes == 4 * 4
    norm = analyze(nn.BatchNorm2d(2), (2, 3, 3))
    assert (norm.params, norm.weight_bytes) == (4, 16)


def test_the_module_stays_as_it_was() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Dropout(), nn.Conv2d(4, 2, 1)).train()
    network[1].eval()  # frozen
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    analyze(network, (3, 4, 4))
    assert [m.training for m in network] == [True, False, True, True]
    assert network.training
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert all(not m._forward_hooks for m in network.modules())
    assert all(p.grad is None for p in network.parameters())

"""Every network of the casebook: exact, within a second, without memory; and beside independent counters."""

import json
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from convwise import cost, networks

IN_A_FRESH_PROCESS = """
import json, sys, time
import torch
from convwise import cost, networks

def resident():  # bytes
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

before, found = resident(), {}
for name in networks.names():
    start = time.process_time()
    with cost.sketch():
        network = networks.create(name)
    report = cost.analyze(network, networks.input_shape(name))
    found[name] = {"seconds": time.process_time() - start, "grown": resident() - before}
heavy = [name for name in ("torch._dynamo", "sympy", "triton", "torch.utils.flop_counter") if name in sys.modules]
print(json.dumps({"found": found, "heavy": heavy}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_each_takes_less_than_a_second_and_50_megabytes_with_the_first_imports() -> None:
    done = subprocess.run([sys.executable, "-c", IN_A_FRESH_PROCESS], capture_output=True, text=True, check=True)
    result = json.loads(done.stdout)
    assert result["found"].keys() == set(networks.names())
    assert max(row["seconds"] for row in result["found"].values()) < 1
    assert max(row["grown"] for row in result["found"].values()) < 50e6  # of them all, one after another
    assert result["heavy"] == []


@pytest.mark.parametrize("name", networks.names())
def test_counts_are_those_of_the_entry(name: str) -> None:
    entry = networks.describe(name)
    with cost.sketch():
        network = networks.create(name)
    report = cost.analyze(network, networks.input_shape(name))
    assert (report.params, report.macs) == (entry.params, entry.macs)
    assert report.weight_bytes == 4 * entry.params


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("lenet5_1998", 32), ("alexnet", 227), ("googlenet", 224), ("googlenet", 97), ("resnet20", 32),
        ("resnet20", 45), ("mobilenet_v2", 97), ("efficientnet_b0", 97),
    ],
)  # fmt: skip
def test_torchs_own_counter_agrees(name: str, side: int) -> None:
    shape = (networks.input_shape(name)[0], side, side)
    with torch.device("meta"):
        network, x = networks.create(name).eval(), torch.empty(1, *shape)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(x)
    assert 2 * cost.analyze(network, shape).macs == counter.get_total_flops()


# builder and side; small sides, since fvcore computes
OURS = {
    "lenet5": 28, "alexnet_owt": 224, "nin_cifar10": 32, "resnet18": 64, "resnet50": 64, "googlenet_bn": 64,
    "mobilenet_v1": 64, "mobilenet_v2": 65, "efficientnet_b0": 64, "efficientnet_lite0": 65,
}  # fmt: skip
TORCHVISIONS = {
    "squeezenet1_1": 64, "densenet121": 64, "shufflenet_v2_x1_0": 64, "mobilenet_v3_small": 64, "resnext50_32x4d": 64,
    "regnet_y_400mf": 64, "mnasnet0_5": 64, "efficientnet_v2_s": 64, "resnet18": 65, "mobilenet_v2": 64,
}  # fmt: skip


def fvcore_macs(network: nn.Module, shape: tuple[int, ...]) -> int:
    """What fvcore counts as convolutions and linear layers."""
    from fvcore.nn import FlopCountAnalysis

    with torch.no_grad():
        counted = FlopCountAnalysis(network.eval(), torch.zeros(1, *shape)).unsupported_ops_warnings(False)
        by_operator = counted.uncalled_modules_warnings(False).by_operator()
    return int(by_operator["conv"] + by_operator["linear"])


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize(("name", "side"), OURS.items())
def test_fvcore_agrees_on_convolutions_and_linear_layers(name: str, side: int) -> None:
    network, shape = networks.create(name), (networks.input_shape(name)[0], side, side)
    assert cost.analyze(network, shape).macs == fvcore_macs(network, shape)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.parametrize(("name", "side"), TORCHVISIONS.items())
def test_fvcore_agrees_on_networks_of_others(name: str, side: int) -> None:
    from torchvision import models

    network, shape = models.get_model(name), (3, side, side)
    report = cost.analyze(network, shape)
    assert report.macs == fvcore_macs(network, shape)
    assert report.params == sum(p.numel() for p in network.parameters())


def test_a_sketch_has_the_shapes_and_no_memory() -> None:
    real = networks.create("mobilenet_v2")
    generator = torch.get_rng_state()
    with cost.sketch():
        network = networks.create("mobilenet_v2")
    assert torch.equal(torch.get_rng_state(), generator)
    assert all(tensor.is_meta for tensor in network.state_dict().values())
    assert {name: t.shape for name, t in network.state_dict().items()} == {
        name: t.shape for name, t in real.state_dict().items()
    }
    assert cost.analyze(network, (3, 96, 96)) == cost.analyze(real, (3, 96, 96))


def test_a_sketch_leaves_real_tensors_alone() -> None:
    with cost.sketch():
        assert torch.zeros(3, device="cpu").add_(1).sum() == 3
    assert torch.zeros(2).device.type == "cpu"


def test_naming_what_a_classifier_keeps_imports_neither_torch_nor_the_rest() -> None:
    program = """
import sys
from convwise.cost import Totals, __all__
assert Totals(1, 2, 3).macs == 2
assert not {"torch", "convwise.cost.report", "convwise.cost.geometry"} & sys.modules.keys()
import convwise.cost
assert all(getattr(convwise.cost, name) for name in __all__)
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_there_are_no_other_names() -> None:
    with pytest.raises(AttributeError, match=r"^module 'convwise.cost' has no attribute 'flops'$"):
        cost.flops  # noqa: B018

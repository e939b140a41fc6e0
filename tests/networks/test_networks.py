"""What every network promises, and what can be asked of all of them by name."""

import inspect
import re
import subprocess
import sys
from functools import partial
from importlib import import_module

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from convwise import networks
from convwise.errors import UsageError
from convwise.networks.blocks import ConvNet, ConvNormAct
from convwise.networks.efficientnet import lite
from convwise.networks.lenet import lenet5

# fmt: off
# classes, params, MACs of one image: lenet5 by hand (see its docstring), efficientnet_lite0 as torch and timm count it
COUNTS = {
    "lenet5":             (10,      61_706,     416_520),
    "efficientnet_lite0": (1000, 4_652_008, 385_187_552),
}
# width, depth, resolution, params, MACs of the larger Lite networks, whose official counts are 5.4, 6.1, 8.2 and 13.0 M
LARGER_LITE = {
    1: (1.0, 1.1, 240,  5_416_680,   600_185_232),
    2: (1.1, 1.2, 260,  6_092_072,   859_736_272),
    3: (1.2, 1.4, 280,  8_197_096, 1_383_321_872),
    4: (1.4, 1.8, 300, 13_006_568, 2_553_034_336),
}
# a side that is quick and still leaves every stage something to see
SMALL = {"lenet5": 28, "efficientnet_lite0": 64}
# stages, blocks, features
SHAPE = {"lenet5": (2, 2, 84), "efficientnet_lite0": (8, 17, 1280)}
# fmt: on
each_network = pytest.mark.parametrize("name", networks.names())


def image(name: str, batch: int = 2) -> Tensor:
    """Noise of the shape that the network takes."""
    return torch.randn(batch, networks.describe(name).channels, SMALL[name], SMALL[name])


def count(network: nn.Module, channels: int, side: int) -> tuple[int, int]:
    """Params and MACs; nothing is computed when the network is on the meta device."""
    with FlopCounterMode(display=False) as counter:
        network.eval()(torch.empty(1, channels, side, side, device="meta"))
    return sum(p.numel() for p in network.parameters()), counter.get_total_flops() // 2


def test_every_network_stands_in_the_tables_of_these_tests() -> None:
    assert set(COUNTS) == set(SMALL) == set(SHAPE) == set(networks.names())


@each_network
def test_counts_match_the_publication(name: str) -> None:
    entry, (num_classes, params, macs) = networks.describe(name), COUNTS[name]
    with torch.device("meta"):
        network = networks.create(name, num_classes)
    assert count(network, entry.channels, entry.resolution) == (params, macs)


@pytest.mark.parametrize("number", LARGER_LITE)
def test_the_scaled_lite_networks_have_their_published_counts(number: int) -> None:
    width, depth, side, params, macs = LARGER_LITE[number]
    with torch.device("meta"):
        network = lite(1000, width, depth, dropout=0.3, stochastic_depth=0.2)
    assert count(network, 3, side) == (params, macs)


@each_network
def test_every_parameter_gets_a_gradient(name: str) -> None:
    torch.manual_seed(0)
    network = networks.create(name, 5)
    logits = network(image(name, batch=4))
    assert logits.shape == (4, 5)
    torch.autograd.backward(F.cross_entropy(logits, torch.tensor([0, 1, 2, 3])))
    assert [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


@each_network
def test_evaluation_is_deterministic_and_each_image_stands_alone(name: str) -> None:
    network, x = networks.create(name, 5).eval(), image(name)
    with torch.no_grad():
        both, again, first = network(x), network(x), network(x[:1])
    assert torch.equal(both, again)
    torch.testing.assert_close(both[:1], first)


@each_network
def test_a_seed_gives_the_same_network(name: str) -> None:
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        states.append(networks.create(name, 5).state_dict())
    assert all(torch.equal(tensor, states[1][key]) for key, tensor in states[0].items())


@each_network
def test_a_network_is_stem_stages_and_head(name: str) -> None:
    network, x = networks.create(name, 5).eval(), image(name)
    assert isinstance(network, ConvNet)
    assert all(isinstance(stage, nn.Sequential) for stage in network.stages)
    with torch.no_grad():
        map_ = network.stages(network.stem(x))
        features = network.head[:-1](map_)
        assert map_.dim() == 4
        assert features.shape == (2, networks.feature_width(network))
        assert torch.equal(network.head[-1](features), network(x))


@each_network
def test_only_the_last_layer_knows_the_number_of_classes(name: str) -> None:
    with torch.device("meta"):
        few, many = networks.create(name, 5), networks.create(name, 7)
    shapes = {key: tensor.shape for key, tensor in many.state_dict().items()}
    differ = {key.rsplit(".", 1)[0] for key, tensor in few.state_dict().items() if tensor.shape != shapes[key]}
    last = len(list(few.get_submodule("head").children())) - 1
    assert differ == {f"head.{last}"}


@each_network
def test_cuts_name_every_block_once_in_order(name: str) -> None:
    with torch.device("meta"):
        network = networks.create(name)
    cuts = networks.cuts(network)
    stages, blocks, width = SHAPE[name]
    assert len(set(cuts)) == len(cuts)
    assert len([cut for cut in cuts if ".block" in cut]) == blocks
    assert len({cut.split(".")[0] for cut in cuts if ".block" in cut}) == stages
    assert cuts[-1] == "features"
    assert networks.feature_width(network) == width


def test_cuts_have_a_stem_only_where_the_paper_has_one() -> None:
    with torch.device("meta"):
        lenet, lite0 = networks.create("lenet5"), networks.create("efficientnet_lite0")
    assert networks.cuts(lenet) == ("stage1.block1", "stage2.block1", "features")
    assert networks.cuts(lite0)[:4] == ("stem", "stage1.block1", "stage2.block1", "stage2.block2")
    assert networks.cuts(lite0)[-2:] == ("stage8.block1", "features")


def test_a_stage_is_another_name_for_its_last_block() -> None:
    with torch.device("meta"):
        network = networks.create("efficientnet_lite0")
    asked = ("stem", "stage1", "stage6", "stage6.block2", "stage8", "features")
    found = [networks.canonical_cut(network, cut) for cut in asked]
    assert found == ["stem", "stage1.block1", "stage6.block4", "stage6.block2", "stage8.block1", "features"]


def test_an_unknown_cut_names_the_nearest() -> None:
    with pytest.raises(
        UsageError,
        match=r"cut must be one of stage1\.block1, stage2\.block1, features, got 'feature'; did you mean 'features'\?",
    ):
        networks.canonical_cut(lenet5(), "feature")


@each_network
def test_a_new_number_of_classes_replaces_the_last_layer_alone(name: str) -> None:
    network = networks.create(name, 5)
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    old = network.get_submodule("head")
    assert isinstance(old, nn.Sequential)
    last = old[-1]
    networks.replace_head(network, 3)
    after = network.state_dict()
    changed = [key for key, tensor in before.items() if not torch.equal(tensor, after[key])]
    assert changed == [f"head.{len(old) - 1}.weight", f"head.{len(old) - 1}.bias"]
    assert old[-1] is not last
    assert list(after) == list(before)
    assert network.eval()(image(name)).shape == (2, 3)


def test_a_replaced_head_keeps_dtype_device_mode_and_whether_it_has_a_bias() -> None:
    head = nn.Sequential(nn.Flatten(), nn.Linear(4, 10, bias=False))
    network = ConvNet(nn.Identity(), nn.Sequential(), head).to(torch.float64).eval()
    networks.replace_head(network, 2)
    fresh = network.head[-1]
    assert isinstance(fresh, nn.Linear)
    assert fresh.weight.dtype == torch.float64
    assert "bias" not in fresh.state_dict()
    assert not fresh.training
    with torch.device("meta"):
        network = lenet5()
    networks.replace_head(network, 2)
    assert {p.device.type for p in network.parameters()} == {"meta"}


def test_a_fresh_head_starts_with_all_classes_alike() -> None:
    torch.manual_seed(0)
    network = networks.create("efficientnet_lite0", 1000)
    networks.replace_head(network, 100)
    weight = network.get_parameter("head.3.weight")
    assert weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert not network.get_parameter("head.3.bias").any()


@pytest.mark.parametrize(
    "ask", [networks.cuts, networks.feature_width, partial(networks.canonical_cut, cut="stem")], ids=repr
)
def test_a_module_of_another_shape_is_refused(ask: partial[object]) -> None:
    sentence = (
        "network must have a stem, and stages and head as nn.Sequential, got Linear; "
        "convwise.networks.create builds lenet5, efficientnet_lite0"
    )
    with pytest.raises(UsageError, match=re.escape(sentence)):
        ask(nn.Linear(2, 2))


def test_a_head_without_a_last_linear_layer_is_refused() -> None:
    network = ConvNet(nn.Identity(), nn.Sequential(), nn.Sequential(nn.Flatten()))
    with pytest.raises(UsageError, match=r"head of a network must end in nn\.Linear, got Flatten"):
        networks.feature_width(network)
    with pytest.raises(UsageError, match=r"head of a network must end in nn\.Linear, got Flatten"):
        networks.replace_head(network, 2)


def test_an_unknown_network_names_the_nearest() -> None:
    sentence = "network must be one of lenet5, efficientnet_lite0, got 'lenet'; did you mean 'lenet5'?"
    with pytest.raises(UsageError, match=re.escape(sentence)):
        networks.create("lenet")
    with pytest.raises(UsageError, match=re.escape(sentence)):
        networks.describe("lenet")


def test_an_unknown_argument_names_the_allowed_ones() -> None:
    sentence = "argument of lenet5 must be one of in_channels, resolution, got 'channels'; did you mean 'in_channels'?"
    with pytest.raises(UsageError, match=re.escape(sentence)):
        networks.create("lenet5", 10, {"channels": 3})


@pytest.mark.parametrize("num_classes", [0, -1])
def test_a_network_has_at_least_one_class(num_classes: int) -> None:
    with pytest.raises(UsageError, match=f"num_classes must be at least 1, got {num_classes}"):
        networks.create("lenet5", num_classes)
    with pytest.raises(UsageError, match=f"num_classes must be at least 1, got {num_classes}"):
        networks.replace_head(lenet5(), num_classes)


@each_network
def test_the_entry_tells_what_the_builder_takes(name: str) -> None:
    entry = networks.describe(name)
    module = import_module(f"convwise.networks.{entry.module}")
    first, *others = inspect.signature(getattr(module, entry.builder)).parameters
    assert (first, tuple(others)) == ("num_classes", entry.arguments)
    assert module.__doc__ is not None
    assert "\nDeviations: " in module.__doc__
    assert entry.url in module.__doc__


def test_names_stand_in_the_order_of_the_papers() -> None:
    years = [networks.describe(name).year for name in networks.names()]
    assert years == sorted(years)


def test_asking_what_there_is_does_not_import_torch() -> None:
    code = (
        "import sys; from convwise import networks; [networks.describe(n) for n in networks.names()]; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("side", [12, 27, 28, 32, 64])
def test_lenet5_takes_other_sides_and_colour(side: int) -> None:
    network = networks.create("lenet5", 4, {"resolution": side, "in_channels": 3})
    assert network(torch.randn(2, 3, side, side)).shape == (2, 4)


def test_lenet5_refuses_a_side_that_leaves_nothing() -> None:
    with pytest.raises(UsageError, match="resolution of lenet5 must be at least 12 pixels, got 11"):
        lenet5(resolution=11)


def test_lite0_drops_branches_the_more_often_the_deeper_they_are() -> None:
    network = networks.create("efficientnet_lite0", 5, {"stochastic_depth": 0.32})
    drops = {name: m.drop for name, m in network.named_modules() if hasattr(m, "drop") and isinstance(m.drop, float)}
    # blocks 2, 4, 6, 7, 9, 10, 12, 13 and 14 of 16, counted from 0, are those with a shortcut
    assert list(drops.values()) == pytest.approx([0.32 * i / 16 for i in (2, 4, 6, 7, 9, 10, 12, 13, 14)])
    assert next(iter(drops)) == "stages.1.1.branch.drop"


def test_lite0_has_the_batch_norm_and_activation_of_its_publication() -> None:
    with torch.device("meta"):
        network = networks.create("efficientnet_lite0")
    modules = list(network.modules())
    assert {m.eps for m in modules if isinstance(m, nn.BatchNorm2d)} == {1e-3}
    assert {type(m.act) for m in modules if isinstance(m, ConvNormAct) and hasattr(m, "act")} == {nn.ReLU6}

"""What can be asked of any network that is stem, stages and head: its cuts, and another last layer."""

import re
from functools import partial

import pytest
import torch
from torch import nn

from convwise import networks
from convwise.errors import UsageError
from convwise.networks.blocks import ConvNet, LastLayer
from convwise.networks.lenet import lenet5

from .helpers import meta_network, on_meta


@meta_network
def test_cuts_name_every_block_once_in_order(name: str) -> None:
    network = on_meta(name)
    cuts, stages = networks.cuts(network), list(network.get_submodule("stages").children())
    blocks = [
        f"stage{i}.block{j}" for i, stage in enumerate(stages, 1) for j in range(1, len(list(stage.children())) + 1)
    ]
    stem = [] if isinstance(network.stem, nn.Identity) else ["stem"]
    assert list(cuts) == [*stem, *blocks, "features"]
    assert all(networks.canonical_cut(network, cut) == cut for cut in cuts)
    assert networks.canonical_cut(network, f"stage{len(stages)}") == blocks[-1]


def test_an_unknown_cut_names_the_nearest() -> None:
    points = "stage1, stage2, features, stage1.block1, stage2.block1"
    text = f"cut must be one of {points}, got 'feature'; did you mean 'features'?"
    with pytest.raises(UsageError, match=f"^{re.escape(text)}$"):
        networks.canonical_cut(lenet5(), "feature")


@pytest.mark.parametrize(
    ("name", "width"),
    [("alexnet", 4096), ("vgg16", 4096), ("lenet5", 84), ("efficientnet_lite0", 1280), ("resnet50", 2048)],
)
def test_features_are_as_wide_as_the_last_layer_takes(name: str, width: int) -> None:
    assert networks.feature_width(on_meta(name)) == width


@pytest.mark.parametrize("name", ["nin_cifar10", "lenet5_1998"])
def test_a_last_layer_that_is_not_linear_makes_another_for_other_classes(name: str) -> None:
    last = networks.parts(on_meta(name, 10))[-1][1]
    assert type(last) is not nn.Linear
    assert isinstance(last, LastLayer)


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


def test_auxiliary_heads_learn_of_a_new_number_of_classes_too() -> None:
    with torch.device("meta"):
        network = networks.create("googlenet", 10, {"aux": True})
    networks.replace_head(network, 3)
    aux = network.aux
    assert len(aux) == 2  # type: ignore[arg-type]
    assert [head[-1].out_features for head in aux.values()] == [3, 3]  # type: ignore[operator]


@pytest.mark.parametrize(
    "ask",
    [networks.cuts, networks.feature_width, partial(networks.canonical_cut, cut="stem")],
    ids=["cuts", "feature_width", "canonical_cut"],
)
def test_a_module_of_another_shape_is_refused(ask: partial[object]) -> None:
    sentence = "network must have a stem, and stages and head as nn.Sequential, got Linear"
    with pytest.raises(UsageError, match=re.escape(sentence)):
        ask(nn.Linear(2, 2))


def test_a_head_without_a_last_linear_layer_is_refused() -> None:
    network = ConvNet(nn.Identity(), nn.Sequential(), nn.Sequential(nn.Flatten()))
    with pytest.raises(UsageError, match=r"^head of a network must end in nn\.Linear, got Flatten$"):
        networks.feature_width(network)
    sentence = "head of a network must end in nn.Linear, or in a layer with for_classes(), got Flatten"
    with pytest.raises(UsageError, match=re.escape(sentence)):
        networks.replace_head(network, 2)

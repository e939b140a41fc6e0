"""What is frozen, trained on, begun anew: by name, in numbers, and in the table of the report."""

import re
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

from convwise import cost, networks
from convwise.errors import UsageError
from convwise.networks.cutting import with_rear
from convwise.transfer.tuning import Tuning, check_order, usual_freeze

SHAPE = (3, 64, 64)


@pytest.fixture
def state() -> Mapping[str, Tensor]:
    """Numbers as if they were published, of a network with 20 classes."""
    torch.manual_seed(1)
    return networks.create("resnet18", 20).state_dict()


def fresh(num_classes: int = 5) -> nn.Module:
    torch.manual_seed(2)
    return networks.create("resnet18", num_classes)


def taken_over(tuning: Tuning, state: Mapping[str, Tensor], num_classes: int = 5) -> set[str]:
    """The names whose numbers are the published ones; all others must be as they were drawn."""
    network, drawn = fresh(num_classes), fresh(num_classes).state_dict()
    tuning.take_over(network, state)
    found = network.state_dict()
    same = {n for n, t in found.items() if t.shape == state[n].shape and torch.equal(t, state[n])}
    assert all(torch.equal(found[name], drawn[name]) for name in set(found) - same)
    return {name for name in same if not torch.equal(drawn[name].float(), state[name].float())}


def learnt(*starts: str) -> set[str]:
    """Names of the numbers that differ from draw to draw, below some modules."""
    return {name for name, p in fresh().named_parameters() if name.startswith(starts) and p.ndim > 1}


def test_all_but_the_last_layer_is_published() -> None:
    state = networks.create("resnet18", 20).state_dict()
    assert taken_over(Tuning(), state) == taken_over(Tuning("stage2"), state) == learnt("stem", "stages")


def test_behind_reset_from_the_numbers_stay_as_drawn(state: Mapping[str, Tensor]) -> None:
    assert taken_over(Tuning("stage1", "stage3"), state) == learnt("stem", "stages.0", "stages.1", "stages.2")
    assert taken_over(Tuning(None, "stage2.block1"), state) == learnt("stem", "stages.0", "stages.1.0")
    assert taken_over(Tuning("stem", "stem"), state) == learnt("stem")


def test_more_classes_than_the_weights_have_are_a_new_layer(state: Mapping[str, Tensor]) -> None:
    assert taken_over(Tuning("stage2"), state, num_classes=1500) == learnt("stem", "stages")


def test_a_rear_of_ones_own_is_as_drawn_and_all_before_it_published(state: Mapping[str, Tensor]) -> None:
    layer = nn.Linear(128, 5)
    before = layer.weight.clone()
    network = with_rear(fresh(), "stage2", nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), layer))
    tuning = Tuning("stage2", own_rear=True)
    tuning.take_over(network, state)
    assert torch.equal(layer.weight, before)
    assert all(torch.equal(t, state[n]) for n, t in network.state_dict().items() if not n.startswith("head"))
    assert [n for n, _ in tuning.trained(network).named_parameters()] == ["head.0.2.weight", "head.0.2.bias"]


def test_a_network_without_numbers_stays_without(state: Mapping[str, Tensor]) -> None:
    with torch.device("meta"):
        network = networks.create("resnet18", 5)
    Tuning().take_over(network, state)
    assert all(p.is_meta for p in network.parameters())


def told(tuning: Tuning, network: nn.Module) -> list[tuple[str, int, str]]:
    return [tuple(piece[:3]) for piece in tuning.pieces(network, cost.analyze(network, SHAPE))]  # type: ignore[misc]


def test_the_table_says_what_happened_to_each_stage() -> None:
    network = fresh()
    assert told(Tuning("stage2.block1", "stage3"), network) == [
        ("stem", 1, "frozen"), ("stage1", 2, "frozen"), ("stage2", 1, "frozen"), ("stage2", 1, "trained"),
        ("stage3", 2, "trained"), ("stage4", 2, "re-initialised"), ("head", 1, "new"),
    ]  # fmt: skip
    assert [piece[2] for piece in told(Tuning(), network)] == ["trained"] * 5 + ["new"]
    joined = with_rear(network, "stage3", nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, 5)))
    assert told(Tuning("stage3", own_rear=True), joined) == [
        ("stem", 1, "frozen"), ("stage1", 2, "frozen"), ("stage2", 2, "frozen"), ("stage3", 2, "frozen"),
        ("head", 1, "new"),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_lite0", "googlenet", "alexnet_owt", "mobilenet_v2"])
def test_the_table_counts_the_whole_network(name: str) -> None:
    entry = networks.describe(name)
    with torch.device("meta"):
        network = networks.create(name, 5)
    report = cost.analyze(network, (3, entry.resolution, entry.resolution))
    freeze = usual_freeze(network, report)
    pieces = Tuning(freeze).pieces(network, report)
    assert sum(piece.params for piece in pieces) == report.params
    assert sum(piece.macs for piece in pieces) == report.macs
    frozen = sum(piece.macs for piece in pieces if piece.state == "frozen")
    assert 0 < frozen <= report.macs / 2


def test_lite0_is_frozen_up_to_its_fourth_stage() -> None:
    with torch.device("meta"):
        network = networks.create("efficientnet_lite0", 5)
    assert usual_freeze(network, cost.analyze(network, (3, 224, 224))) == "stage4"


STAGES = ["stem", *(f"stage{i}" for i in range(1, 5)), "features"]
POINTS = ", ".join([*STAGES, *(f"stage{i}.block{j}" for i in range(1, 5) for j in (1, 2))])


@pytest.mark.parametrize(
    ("freeze", "reset_from", "text"),
    [
        ("stage33", None, f"freeze must be one of {POINTS}, got 'stage33'; did you mean 'stage3'?"),
        (None, "stage44", f"reset-from must be one of {POINTS}, got 'stage44'; did you mean 'stage4'?"),
        ("stage1", "stage4.blok2",
         f"reset-from must be one of {POINTS}, got 'stage4.blok2'; did you mean 'stage4.block2'?"),
        ("features", None,
         ("freeze 'features' leaves the softmax layer alone to train, which is transfer 'head'; take that, or a cut up "
          "to 'stage4.block2'")),
        (None, "features",
         ("reset-from 'features' has no effect: the softmax layer behind it is new in any case; leave it out, or take "
          "a cut up to 'stage4.block2'")),
        ("stage3", "stage2",
         ("reset-from 'stage2' lies in the frozen part, which ends at 'stage3'; random weights must be trained, so "
          "freeze less or reset from there on")),
    ],
)  # fmt: skip
def test_cuts_that_cannot_be_had_are_one_line(freeze: str | None, reset_from: str | None, text: str) -> None:
    with torch.device("meta"):
        network = networks.create("resnet18", 5)
    with pytest.raises(UsageError, match=f"^{re.escape(text)}$"):
        check_order(network, freeze, reset_from)


@pytest.mark.parametrize(
    ("freeze", "reset_from"), [(None, None), ("stem", None), ("stage4", None), ("stage2", "stage2"), (None, "stage1")]
)
def test_cuts_that_can_be_had_pass(freeze: str | None, reset_from: str | None) -> None:
    with torch.device("meta"):
        check_order(networks.create("resnet18", 5), freeze, reset_from)

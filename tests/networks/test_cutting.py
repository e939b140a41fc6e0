"""A network in two: front then rear is the whole, for every network that has published weights."""

import re

import pytest
import torch
from torch import Tensor, nn

from convwise import networks, weights
from convwise.errors import UsageError
from convwise.networks.cutting import Joined, behind, shape_at, with_rear

PUBLISHED = tuple(name for name in networks.names() if weights.published(name) is not None)
# Each takes seconds for what a smaller one of its family tells too.
SLOW = {
    "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn", "resnet34", "resnet50", "resnet101",
    "resnet152", *(f"efficientnet_b{i}" for i in range(1, 8)), *(f"efficientnet_lite{i}" for i in range(1, 5)),
}  # fmt: skip


def _sized(name: str) -> object:
    return pytest.param(name, marks=pytest.mark.slow if name in SLOW else ())


@pytest.fixture(scope="module", params=[_sized(name) for name in PUBLISHED])
def built(request: pytest.FixtureRequest) -> tuple[nn.Module, Tensor]:
    """One published network after the other, with five classes and other statistics than a fresh one; and an image."""
    published = weights.published(request.param)
    assert published is not None
    torch.manual_seed(0)
    network = networks.create(request.param, 5, published.arguments).eval()
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(0, 0.1)
    entry = networks.describe(request.param)
    side = max(entry.smallest, 64)
    return network, torch.randn(2, entry.channels, side, side)


def test_what_was_cut_runs_like_the_whole_at_every_cut(built: tuple[nn.Module, Tensor]) -> None:
    network, x = built
    with torch.no_grad():
        expected, seen = network(x), x
        for name, part in networks.parts(network)[:-2]:
            seen = part(seen)
            assert shape_at(network, name, (x.shape[1], x.shape[2], x.shape[3])) == tuple(seen.shape[1:])
            assert torch.equal(behind(network, name).eval()(seen), expected), name


def test_what_lies_behind_has_the_names_and_the_tensors_of_the_whole(built: tuple[nn.Module, Tensor]) -> None:
    whole = built[0].state_dict()
    before = len(whole) + 1
    for cut in networks.cuts(built[0])[:-1]:
        part = behind(built[0], cut).state_dict()
        assert all(whole[name].data_ptr() == tensor.data_ptr() for name, tensor in part.items())
        assert len(part) <= before
        before = len(part)
    assert 0 < before < len(whole)


def test_a_cut_in_a_stage_leaves_the_blocks_behind_it() -> None:
    names = set(behind(networks.create("resnet18"), "stage3.block1").state_dict())
    starts = {".".join(name.split(".")[:3]) for name in names if name.startswith("stages")}
    assert starts == {"stages.2.1", "stages.3.0", "stages.3.1"}  # stages count from 1 in cuts, from 0 in names
    same = set(behind(networks.create("resnet18"), "stage3").state_dict())
    assert same == set(behind(networks.create("resnet18"), "stage3.block2").state_dict())


def test_a_rear_of_ones_own_stands_behind_the_cut() -> None:
    network = networks.create("resnet18", 5).eval()
    own = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 7))
    joined = with_rear(network, "stage2.block1", own).eval()
    x = torch.randn(2, 3, 64, 64)
    assert networks.cuts(joined) == ("stem", "stage1.block1", "stage1.block2", "stage2.block1", "features")
    with torch.no_grad():
        maps = x
        for _, part in networks.parts(network)[:4]:
            maps = part(maps)
        assert torch.equal(joined(x), own(maps))
    assert {name.split(".")[0] for name in behind(joined, "stage2.block1").state_dict()} == {"head"}


def test_behind_the_stem_are_all_stages_and_a_joined_network_draws_nothing() -> None:
    network = networks.create("resnet18", 5)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    part = behind(network, "stem")
    assert isinstance(part, Joined)
    assert torch.equal(torch.get_rng_state(), before)
    assert [name for name in network.state_dict() if not name.startswith("stem")] == list(part.state_dict())


def test_the_shape_at_a_cut_leaves_every_module_in_its_mode() -> None:
    network = networks.create("resnet18", 5).train()
    network.get_submodule("stages.1").eval()
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert shape_at(network, "stage2", (3, 64, 96)) == (128, 8, 12)
    assert network.training
    assert not network.get_submodule("stages.1").training
    assert all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items())
    with torch.device("meta"):
        assert shape_at(networks.create("resnet18"), "stage4", (3, 64, 64)) == (512, 2, 2)


def test_cuts_that_leave_no_rear_are_refused() -> None:
    network = networks.create("resnet18", 5)
    text = "behind the cut 'features' lies the softmax layer alone; take transfer 'head' for that"
    with pytest.raises(UsageError, match=f"^{text}$"):
        behind(network, "features")
    text = "a rear of your own stands behind a stage, not behind the cut 'features'"
    with pytest.raises(UsageError, match=f"^{text}$"):
        with_rear(network, "features", nn.Flatten())
    stages = ["stem", "stage1", "stage2", "stage3", "stage4", "features"]
    points = ", ".join(dict.fromkeys([*stages, *networks.cuts(network)]))
    text = f"cut must be one of {points}, got 'stage22'; did you mean 'stage2'?"
    for cut in (behind, lambda n, c: with_rear(n, c, nn.Flatten()), lambda n, c: shape_at(n, c, (3, 64, 64))):
        with pytest.raises(UsageError, match=f"^{re.escape(text)}$"):
            cut(network, "stage22")

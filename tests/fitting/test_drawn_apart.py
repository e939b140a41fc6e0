"""A caller's random numbers: they decide nothing in a run, and none are taken."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from convwise.evaluation.heat_maps import HeatMaps
from convwise.fitting import Options, Run
from convwise.fitting.from_published import FromPublished
from convwise.fitting.from_scratch import FromScratch
from convwise.fitting.head_candidate import HeadCandidate
from convwise.fitting.start import Start
from convwise.fitting.trained_candidate import TrainedCandidate
from convwise.progress import silent

MINE = """
from torch import nn

def rear(in_channels, num_classes):
    return nn.Sequential(nn.Conv2d(in_channels, 8, 1), nn.ReLU(), nn.Flatten(), nn.LazyLinear(num_classes))
"""
LITE0 = "efficientnet_lite0"
PARTIAL = Options(transfer="partial", freeze="stage6", resolution=64)
OWN = Options(transfer="partial", freeze="stage6", resolution=64, rear="mine_drawn_apart:rear")
MAKERS: dict[str, Callable[[], Start]] = {
    "partial": lambda: FromPublished(LITE0, PARTIAL, "partial"),
    "own rear": lambda: FromPublished(LITE0, OWN, "partial"),
    "none": lambda: FromScratch("lenet5", Options(network=("lenet5",))),
}


@pytest.fixture(autouse=True)
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A module of the user's."""
    (tmp_path / "mine_drawn_apart.py").write_text(MINE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("mine_drawn_apart", None)


def whole(start: Start) -> dict[str, Tensor]:
    """What a training that moved nothing leaves behind, after all that comes before and after it."""
    candidate = TrainedCandidate(start, OWN)
    candidate.check_memory(10, 3)
    candidate.prepare(silent)
    candidate.frozen()
    if isinstance(start, FromPublished):
        start._prefix("stage6")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = start.network(3)
    start.begin(network)
    start.pieces(3)
    return dict(start.whole(start.trained(network), 3).state_dict())


@pytest.mark.usefixtures("shared_cache")
@pytest.mark.parametrize("name", MAKERS)
def test_a_training_neither_follows_the_callers_numbers_nor_takes_any(name: str) -> None:
    torch.manual_seed(1)
    first = whole(MAKERS[name]())
    torch.manual_seed(2)
    before = torch.get_rng_state()
    second = whole(MAKERS[name]())
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(tensor, second[key]) for key, tensor in first.items())


def test_a_head_and_heat_maps_take_none_either(lenet_run: Run) -> None:
    before = torch.get_rng_state()
    HeadCandidate("mobilenet_v2", Options(network=("mobilenet_v2",)))._width  # noqa: B018
    HeadCandidate(LITE0, Options(resolution=64)).prepare(silent)
    assert HeatMaps(lenet_run.classifier)._network is not None
    assert torch.equal(torch.get_rng_state(), before)

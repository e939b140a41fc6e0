"""Training on from published weights, in part or whole: what moves, what stays byte for byte, and what comes out."""

import importlib
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch
from numpy.typing import NDArray

import convwise
from convwise import weights
from convwise.errors import DataError, UsageError
from convwise.evaluation.heat_maps import HeatMaps
from convwise.fitting import Options, Run, fit
from convwise.fitting.from_published import FromPublished
from convwise.progress import silent
from convwise.training.recipe import Recipe

STILL = Recipe(epochs=1, batch=8, lr=1e-12, weight_decay=0.0)  # what comes out is what it began with
OPTIONS = Options(transfer="partial", freeze="stage6.block2", resolution=64, epochs=2, threads=2)
MINE = """
from torch import nn

class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.attend = nn.Linear(channels, channels)
    def forward(self, x):
        x = self.norm(self.conv(x)).relu() + x
        share = self.attend(x.mean(dim=(2, 3))).sigmoid()
        return x * share[:, :, None, None]

def rear(in_channels, num_classes):
    return nn.Sequential(
        nn.Conv2d(in_channels, 24, 1), nn.ReLU(), Block(24), nn.MaxPool2d(2), nn.Flatten(),
        nn.Dropout(0.2), nn.LazyLinear(num_classes),
    )
"""

Make = Callable[..., Run]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory, session_cache: Path, photos: Path) -> Make:
    """Fits on `photos` with the session's cache."""

    def make(options: Options = OPTIONS, data: Path = photos, **changes: Any) -> Run:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CONVWISE_CACHE", str(session_cache))
            return fit(data, replace(options, **changes), out=tmp_path_factory.mktemp("runs") / "run")

    return make


@pytest.fixture(scope="module")
def partial(make: Make) -> Run:
    """Frozen up to the middle of stage 6."""
    return make()


@pytest.fixture(scope="module")
def full(make: Make) -> Run:
    """All trained."""
    return make(transfer="full", freeze=None)


@pytest.fixture(scope="module")
def own(make: Make, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Layers of a module of the user's behind stage 5; the module can be imported while this lasts."""
    folder = tmp_path_factory.mktemp("mine")
    (folder / "mine_of_partial.py").write_text(MINE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(folder), *sys.path])
        yield make(freeze="stage5", rear="mine_of_partial:rear")


def published() -> dict[str, NDArray[Any]]:
    found = weights.published("efficientnet_lite0")
    assert found is not None
    return {name: tensor.numpy() for name, tensor in weights.load(found).items()}


def saved(run: Run) -> dict[str, NDArray[Any]]:
    return dict(safetensors.numpy.load_file(run.path / "classifier" / "weights.safetensors"))


def same(found: Mapping[str, NDArray[Any]], names: set[str]) -> set[str]:
    """Of the names, those that hold the published bytes."""
    known = published()
    return {name for name in names if found[name].tobytes() == known[name].tobytes()}


def moving(found: Mapping[str, NDArray[Any]]) -> set[str]:
    """What training moves of a published network.

    Not the shift of a norm, which moves by rounding alone where the next norm takes it off again.
    """
    return {n for n, array in found.items() if array.ndim > 1 and not n.startswith("head")}


def of_frozen(name: str) -> bool:
    """Whether a tensor stands up to stage6.block2; names count from 0."""
    part, *place = name.split(".")
    return part == "stem" or (part == "stages" and (int(place[0]), int(place[1])) <= (5, 1))


def test_what_is_frozen_keeps_its_bytes_statistics_included_and_the_rest_moves(partial: Run) -> None:
    found = saved(partial)
    frozen = {name for name in found if of_frozen(name)}
    assert sum("running_" in name for name in frozen) > 60
    assert same(found, frozen) == frozen
    behind = moving(found) - frozen
    assert len(behind) == 3 * 3 + 1  # two blocks of stage 6 and one of stage 7, three convolutions each; stage 8 is one
    assert same(found, behind) == set()
    statistics = {name for name in found if "running_" in name} - frozen
    assert len(statistics) == 2 * (3 * 3 + 1)
    assert same(found, statistics) == statistics  # behind the cut, too
    assert {tuple(found[name].shape) for name in found if name.startswith("head")} == {(3, 1280), (3,)}


def test_full_moves_every_number(full: Run) -> None:
    found = saved(full)
    assert len(moving(found)) == 49  # convolutions of Lite0's table
    assert same(found, moving(found)) == set()


@pytest.mark.parametrize("changes", [{"freeze": "stage5"}, {"transfer": "full", "freeze": None}])
def test_what_is_reset_begins_anew_and_all_before_it_from_the_published_weights(
    make: Make, changes: dict[str, Any]
) -> None:
    known, found = published(), saved(make(recipe=STILL, epochs=None, reset_from="stage7", **changes))
    anew = {name for name in found if name.startswith("stages.7") and found[name].ndim > 1}
    assert len(anew) == 1  # the convolution of the last stage
    for name in anew:
        assert abs(np.corrcoef(found[name].ravel(), known[name].ravel())[0, 1]) < 0.1
    for name, array in found.items():
        if not name.startswith(("stages.7", "head")) and "running_" not in name and array.ndim:
            assert np.allclose(array, known[name], rtol=1e-5, atol=1e-8), name


@pytest.mark.parametrize("which", ["partial", "full", "own"])
def test_the_graph_and_torch_give_the_same_logits(which: str, request: pytest.FixtureRequest) -> None:
    run = request.getfixturevalue(which)
    classifier = convwise.load(run.path)
    pixels = np.random.default_rng(0).integers(0, 256, (3, *classifier.preprocessing.shape), np.uint8)
    mean, std = (torch.tensor(levels) for levels in (classifier.preprocessing.mean, classifier.preprocessing.std))
    with torch.no_grad():
        expected = classifier.to_torch()(((torch.from_numpy(pixels).float() - mean) / std).permute(0, 3, 1, 2)).numpy()
    assert expected.shape == (3, 3)
    assert np.abs(classifier.logits(pixels) - expected).max() < 1e-4 * max(1, np.abs(expected).max())
    assert {name: array.shape for name, array in saved(run).items()} == {
        name: tuple(tensor.shape) for name, tensor in classifier.to_torch().state_dict().items()
    }


def test_layers_of_ones_own_are_behind_the_frozen_part(own: Run, photos: Path) -> None:
    found = saved(own)
    frozen = {name for name in found if not name.startswith("head")}
    assert same(found, frozen) == frozen
    assert {name.split(".")[1] for name in frozen if name.startswith("stages")} == set("01234")
    assert {n for n in found if n.startswith("head.0.2")} >= {"head.0.2.conv.weight", "head.0.2.norm.running_mean"}
    classifier = convwise.load(own.path)
    assert (classifier.cut, classifier.rear) == ("stage5", "mine_of_partial:rear")
    assert classifier.params == sum(found[n].size for n in found if "running_" not in n and "num_batches" not in n)
    assert HeatMaps(classifier).of(np.zeros((64, 64, 3), np.uint8), 0).values.shape == (4, 4)
    assert [p.error for p in classifier.predict(sorted(photos.glob("red/*")))] == [""] * 10


def test_layers_that_are_gone_or_others_are_one_line_and_predict_needs_none(
    own: Run, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if not Path(entry, "mine_of_partial.py").exists()])
    monkeypatch.delitem(sys.modules, "mine_of_partial")
    monkeypatch.chdir(tmp_path)
    classifier = convwise.load(own.path)
    assert not classifier.predict(next(photos.glob("red/*")))[0].error
    text = (
        f"classifier {str(classifier.folder)!r} ends in layers of its own, which torch needs and `predict` does not: "
        "builder 'mine_of_partial:rear': module 'mine_of_partial' cannot be imported: ModuleNotFoundError: No module "
        "named 'mine_of_partial'"
    )
    with pytest.raises(UsageError, match=f"^{re.escape(text)}$"):
        classifier.to_torch()
    (tmp_path / "mine_of_partial.py").write_text(MINE.replace("24", "16"))
    text = (
        f"classifier {str(classifier.folder)!r} was trained with other layers than 'mine_of_partial:rear' builds now; "
        "restore that module, or fit again"
    )
    with pytest.raises(DataError, match=f"^{re.escape(text)}$"):
        classifier.to_torch()
    sys.modules.pop("mine_of_partial", None)
    (tmp_path / "mine_of_partial.py").write_text(MINE.replace("ReLU", "Tanh"))  # the same shapes, another network
    importlib.invalidate_caches()
    with pytest.raises(DataError, match=f"^{re.escape(text)}$"):
        classifier.to_torch()
    sys.modules.pop("mine_of_partial", None)


def test_the_cut_may_be_the_stem_and_a_usual_one_is_taken_where_none_is_named(make: Make) -> None:
    found = saved(make(freeze="stem", epochs=1))
    stem = {name for name in found if name.startswith("stem")}
    convolutions = moving(found)
    assert same(found, stem | convolutions) == stem
    run = make(freeze=None, epochs=1)
    assert {part["state"] for part in run.result["ladder"][0]["parts"][:5]} == {"frozen"}
    assert [part["stage"] for part in run.result["ladder"][0]["parts"] if part["state"] == "trained"] == [
        "stage5", "stage6", "stage7", "stage8",
    ]  # fmt: skip


def test_a_run_tells_options_and_recipe(partial: Run) -> None:
    record = json.loads((partial.path / "run.json").read_text())
    assert record["options"]["freeze"] == "stage6.block2"
    assert record["training"]["efficientnet_lite0-partial"]["recipe"]["views"] == 4


def test_the_same_command_gives_the_same_bytes_at_once_and_from_the_cache(
    make: Make, partial: Run, photos: Path, tmp_path: Path
) -> None:
    cold = fit(photos, OPTIONS, out=tmp_path / "cold")  # this test's own cache is empty
    assert (cold.path / "classifier" / "weights.safetensors").read_bytes() == (
        partial.path / "classifier" / "weights.safetensors"
    ).read_bytes()
    assert all(np.array_equal(a, b) for a, b in zip(saved(make()).values(), saved(partial).values(), strict=True))


def test_more_classes_than_the_weights_have(session_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONVWISE_CACHE", str(session_cache))
    start = FromPublished("efficientnet_lite0", OPTIONS, "partial")
    start.prepare(silent)
    network = start.network(1500)
    start.begin(network)
    found = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    rest = {name for name in found if not name.startswith("head")}
    assert same(found, rest) == rest
    assert start.whole(start.trained(network), 1500)(torch.zeros(1, 3, 64, 64)).shape == (1, 1500)


@pytest.mark.parametrize("augment", [None, False])
def test_three_images_a_class_are_enough(
    make: Make, make_photos: Callable[..., Path], tmp_path: Path, augment: bool | None
) -> None:
    data = make_photos(tmp_path / "few", 3, ("blue", "red"))
    for options in (OPTIONS, replace(OPTIONS, transfer="full", freeze=None)):
        run = make(options, data, augment=augment, epochs=1)
        assert run.result["n"] >= 1
        assert all(np.isfinite(array).all() for array in saved(run).values())


def test_a_val_split_chooses_the_epoch(make: Make, split_photos: Path) -> None:
    run = make(data=split_photos)
    assert run.result["split"] == "test"
    assert run.record["chosen"]["how"].endswith("of 2 by the `val` split")

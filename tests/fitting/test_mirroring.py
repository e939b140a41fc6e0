"""A training that would mirror images asks them first whether a mirror leaves them what they are."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest
from PIL import Image, ImageDraw

from convwise.errors import NoCacheRoomError
from convwise.fitting import Options, Run, fit, mirroring
from convwise.fitting.candidates import make_candidates
from convwise.fitting.draft import Draft
from convwise.fitting.mirroring import asked_of, compare_mirrored, settle_mirrors
from convwise.progress import silent
from convwise.runtime.gather import gather
from convwise.training.recipes import tuned

from .runs import table

if TYPE_CHECKING:
    from convwise.fitting.task import Task
    from convwise.fitting.trained_candidate import TrainedCandidate

OPTIONS = Options(transfer="partial", freeze="stage6.block2", resolution=64, epochs=1, threads=2)
FOLDS = np.arange(60) % 5
LABELS = np.arange(60) // 30


@pytest.fixture(scope="module")
def arrows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Arrows to the left and to the right, which a mirror exchanges."""
    folder, rng = tmp_path_factory.mktemp("arrows"), np.random.default_rng(0)
    for name, way in (("left", -1), ("right", 1)):
        (folder / name).mkdir()
        for i in range(30):
            image = Image.fromarray(rng.integers(150, 255, (64, 64, 3), np.uint8))
            x, y, length = rng.uniform(26, 38), rng.uniform(24, 40), rng.uniform(12, 20)
            tip = x + way * length
            draw = ImageDraw.Draw(image)
            draw.line([(x - way * length, y), (tip, y)], fill=(20, 20, 60), width=5)
            draw.polygon([(tip, y), (tip - 12 * way, y - 12), (tip - 12 * way, y + 12)], fill=(20, 20, 60))
            image.save(folder / name / f"{i}.png")
    return folder


@pytest.fixture
def make(shared_cache: Path, tmp_path: Path) -> Callable[..., Run]:
    """Fits with the session's cache."""
    assert shared_cache.is_dir()

    def make(data: Path, **changes: object) -> Run:
        out = tmp_path / str(len(list(tmp_path.iterdir())))
        return fit(data, replace(OPTIONS, **changes), out=out)  # type: ignore[arg-type]

    return make


def features(seed: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Of 60 images of two classes, which the first of 8 numbers tells apart."""
    rows = np.random.default_rng(seed).normal(0, 0.3, (60, 8)).astype(np.float32)
    rows[:, 0] += 2 * LABELS - 1
    return rows


def recipe(run: Run) -> dict[str, Any]:
    """What the run trained by."""
    (training,) = run.record["training"].values()
    found: dict[str, Any] = training["recipe"]
    return found


def notes(run: Run) -> list[str]:
    """What the run says of the mirror."""
    return [note for note in run.record["result"]["notes"] if "mirror" in note]


def test_mirror_images_like_the_images_are_told_alike() -> None:
    found = compare_mirrored(features(0), features(1), LABELS, 2, FOLDS)
    assert (found.n, found.difference) == (60, 0.0)


def test_mirror_images_that_look_like_the_other_class_are_told_for_it() -> None:
    found = compare_mirrored(features(0), features(1) * (-1, *[1] * 7), LABELS, 2, FOLDS)
    assert found.difference == 1.0
    assert found.p_value < 1e-15


def test_nothing_is_learnt_of_mirror_images() -> None:
    silent, telling = features(0), features(1)
    silent[:, 1] = 0
    telling[:, 0], telling[:, 1] = 0, 2 * LABELS - 1  # told by a number that is the same in all images as they are
    found = compare_mirrored(silent, telling, LABELS, 2, FOLDS)
    assert 0.4 < found.difference < 0.6  # which they are guessed


def test_of_two_classes_all_are_asked_up_to_a_thousand_evenly() -> None:
    labels = np.repeat([0, 1, 1], 400)
    asked = asked_of(np.flatnonzero(labels >= 0), labels)
    assert np.bincount(labels[asked]).tolist() == [400, 500]
    assert asked.tolist() == sorted(set(asked.tolist()))
    few = np.array([3, 5, 8])
    assert asked_of(few, labels).tolist() == [3, 5, 8]


def test_of_many_classes_so_many_images_are_asked_that_something_is_learnt() -> None:
    labels = np.repeat(np.arange(1623), 20)
    asked = asked_of(np.flatnonzero(labels % 2 == 0), labels)
    assert len(asked) == 1000
    assert set(np.bincount(labels[asked])[labels[asked]].tolist()) == {10}
    assert (labels[asked] % 2 == 0).all()


def test_a_harm_to_many_classes_is_found() -> None:
    """1,623 classes of 20 images, whose mirror images look like the next class."""
    rng = np.random.default_rng(0)
    centres, labels = rng.normal(0, 1, (1624, 64)), np.repeat(np.arange(1623), 20)
    asked = asked_of(np.arange(len(labels)), labels)
    names, mine = np.unique(labels[asked], return_inverse=True)
    plain, other = (
        (centres[labels[asked] + step] + rng.normal(0, 0.3, (len(asked), 64))).astype(np.float32) for step in (0, 1)
    )
    found = compare_mirrored(plain, other, mine, len(names), np.arange(len(asked)) % 5)
    assert found.difference > 0.9


@pytest.mark.parametrize("kept", [True, False])
def test_a_run_that_goes_on_does_as_it_has_decided(
    kept: bool, tmp_path: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shared_cache.is_dir()
    monkeypatch.setattr(mirroring, "gather", None)  # nobody is asked again
    answer = {"kept": kept, "n": 400, "difference": 0.1, "p_value": 0.02}
    options = Options(transfer="full", resolution=64)
    draft = Draft(tmp_path / "run")
    draft.begin({"mirror": {"efficientnet_lite0": answer}})
    try:
        given = make_candidates(options, 4, 2)
        (candidate,), said = settle_mirrors(given, cast("Task", SimpleNamespace()), options, draft, track=silent)
    finally:
        draft.release()
    assert cast("TrainedCandidate", candidate).recipe.augmentation.mirror == (0.5 if kept else 0.0)
    assert len(said) == (0 if kept else 1)
    assert draft.record["mirror"] == {"efficientnet_lite0": answer}


def test_where_features_have_no_room_the_mirror_stays_and_that_is_said(
    make: Callable[..., Run], arrows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise NoCacheRoomError("there is no room")

    monkeypatch.setattr(mirroring, "gather", full)
    run = make(arrows)
    assert notes(run) == ["efficientnet_lite0: whether a mirror harms these images was not asked: there is no room"]
    assert recipe(run)["augmentation"]["mirror"] == 0.5


def test_members_and_rungs_are_asked_once(
    make: Callable[..., Run], arrows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def counted(*args: Any, **kwargs: Any) -> Any:
        asked.append(1)
        return gather(*args, **kwargs)

    monkeypatch.setattr(mirroring, "gather", counted)
    run = make(arrows, members=2)
    assert len(asked) == 1
    assert len(notes(run)) == 1
    answer = run.record["mirror"]["efficientnet_lite0"]
    learnt = [row for row in table(run, "samples.csv") if row["split"] == "train"]
    assert answer["n"] < len(learnt)  # those that choose are not asked
    assert not answer["kept"]
    assert recipe(run)["augmentation"]["mirror"] == 0.0
    assert (run.path / "members" / "2").is_dir()


@pytest.mark.parametrize("transfer", ["partial", "full"])
def test_arrows_are_not_mirrored(transfer: str, make: Callable[..., Run], arrows: Path) -> None:
    run = make(arrows, transfer=transfer, freeze=OPTIONS.freeze if transfer == "partial" else None)
    usual = tuned("efficientnet_lite0", 64)
    assert usual.augmentation.mirror == 0.5
    assert recipe(run) == replace(usual, epochs=1, augmentation=replace(usual.augmentation, mirror=0.0)).to_json()
    said = notes(run)
    assert len(said) == 1
    assert said[0].startswith("efficientnet_lite0: images are not mirrored in training: of ")
    assert said[0].endswith("--augment mirrors them all the same")


@pytest.mark.parametrize(
    "changes", [{"augment": True}, {"recipe": replace(tuned("efficientnet_lite0", 64), epochs=1), "epochs": None}]
)
def test_who_asks_for_the_mirror_gets_it(changes: dict[str, object], make: Callable[..., Run], arrows: Path) -> None:
    run = make(arrows, **changes)
    assert recipe(run)["augmentation"]["mirror"] == 0.5
    assert not notes(run)


def test_photos_that_a_mirror_leaves_what_they_are_stay_mirrored(
    make: Callable[..., Run], photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make(photos)
    assert recipe(run)["augmentation"]["mirror"] == 0.5
    few = "images are mirrored in training, and are too few to tell whether that harms"
    assert notes(run) == [f"efficientnet_lite0: {few}; --no-augment leaves them as they are"]
    monkeypatch.setattr(mirroring, "FEW", 10)
    assert not notes(make(photos, seed=1))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "resolution", "mirrored"),
    [("digits", 64, False), ("ants_bees", 112, True), ("cifar10_2000", 96, True), ("fashion_mnist_2000", 64, True)],
)
def test_real_images_are_mirrored_unless_they_are_characters(
    data: str, resolution: int, mirrored: bool, make: Callable[..., Run], request: pytest.FixtureRequest
) -> None:
    run = make(request.getfixturevalue(data), resolution=resolution)
    assert recipe(run)["augmentation"]["mirror"] == (0.5 if mirrored else 0.0)

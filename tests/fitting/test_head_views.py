"""A softmax layer that sees augmented views of its images."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from numpy.typing import NDArray

from convwise import machine
from convwise.errors import MachineError
from convwise.fitting import Options, Run, fit
from convwise.fitting.head_candidate import HeadCandidate

OPTIONS = Options(resolution=64, threads=2)


@pytest.fixture
def make(shared_cache: Path, photos: Path, tmp_path: Path) -> Callable[..., Run]:
    """Fits on `photos` with the session's cache."""
    assert shared_cache.is_dir()

    def make(name: str, data: Path = photos, **changes: Any) -> Run:
        return fit(data, replace(OPTIONS, **changes), out=tmp_path / name)

    return make


def weights(run: Run) -> bytes:
    return (run.path / "classifier" / "weights.safetensors").read_bytes()


def layer(run: Run) -> NDArray[np.float32]:
    found: NDArray[np.float32] = safetensors.numpy.load(weights(run))["head.3.weight"]
    return found


def test_without_augment_nothing_changes_and_with_it_only_the_layer_does(
    make: Callable[..., Run], head_run: Run
) -> None:
    augmented, plain = make("augmented", augment=True), make("plain")
    assert weights(plain) == weights(head_run)
    before, after = (safetensors.numpy.load(weights(run)) for run in (plain, augmented))
    changed = [name for name in before if not np.array_equal(before[name], after[name])]
    assert sorted(changed) == ["head.3.bias", "head.3.weight"]
    assert np.abs(layer(augmented) - layer(plain)).max() > 1e-3
    assert augmented.record["chosen"]["how"].endswith(
        "by 5-fold cross-validation inside `train`, fitted on 4 augmented views of each image too"
    )
    assert "augmented" not in plain.record["chosen"]["how"]


def test_views_are_computed_once_and_of_train_alone(photos: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int]] = []

    def track(items: Any, total: int, what: str) -> Any:
        told.append((what, total))
        return items

    options = replace(OPTIONS, augment=True)
    first = fit(photos, options, out=tmp_path / "first", track=track)
    # 24 of 30 photos are train; features are 1280 numbers of four bytes
    views = [entry for entry in told if entry[0].startswith("activations")]
    assert views == [(f"activations at features of view {k} (122.9 kB to cache)", 24) for k in (1, 2, 3, 4)]
    told.clear()
    again = fit(photos, options, out=tmp_path / "again", track=track)
    assert told == []
    assert weights(first) == weights(again)


def test_views_that_memory_cannot_hold_are_refused_before_the_weights_are_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    needed = 3 * 5 * 10_000 * 1280 * 4  # features and four views in three forms, 1280 numbers of four bytes
    candidate = HeadCandidate("efficientnet_lite0", replace(OPTIONS, augment=True))
    monkeypatch.setattr(machine, "machine_memory", lambda: needed)
    candidate.check_memory(10_000, 2)
    text = (
        "a softmax layer on 4 views of 10,001 images needs about 768.1 MB of memory, and there are 768.0 MB; take "
        "fewer images, fewer views in the recipe, or no --augment"
    )
    with pytest.raises(MachineError, match=f"^{re.escape(text)}$"):
        candidate.check_memory(10_001, 2)
    HeadCandidate("efficientnet_lite0", OPTIONS).check_memory(10_001, 2)


def test_a_val_split_chooses_without_views_of_it(make: Callable[..., Run], split_photos: Path) -> None:
    run = make("val", split_photos, augment=True)
    how = run.record["chosen"]["how"]
    assert re.fullmatch("L2 strength .* by the `val` split, fitted on 4 augmented views of each image too", how)


def test_one_image_a_class_leaves_nothing_to_choose(
    make: Callable[..., Run], make_photos: Callable[..., Path], tmp_path: Path
) -> None:
    data = make_photos(tmp_path / "photos", 1, ("blue", "red"), splits=("train", "test"))
    assert np.isfinite(layer(make("few", data, augment=True))).all()


def test_views_without_room_for_prepared_images_are_made_of_the_files(
    make: Callable[..., Run], photos: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = make("expected", augment=True)
    monkeypatch.setenv("CONVWISE_CACHE", str(cache))
    monkeypatch.setattr("convwise.fitting.work.has_disk", lambda *_: False)
    found = fit(photos, replace(OPTIONS, augment=True), out=tmp_path / "files")
    assert weights(found) == weights(expected)
    assert any(
        "prepared images found no room, so each view read and decoded the files" in n for n in found.result["notes"]
    )

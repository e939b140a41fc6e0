"""Folders with little in them, or with odd things."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convwise.data.preprocessing import Preprocessing
from convwise.errors import DataError
from convwise.fitting import Options, Run, fit
from convwise.fitting.training_data import pixel_statistics
from convwise.runtime.session import FrozenNetwork

from .runs import LENET, MakePhotos, head, table, weights_hash


def test_balance_reaches_the_weights(in_tmp_path: Path, make_photos: MakePhotos) -> None:
    folder = make_photos(in_tmp_path / "data", 12, ("blue",))
    make_photos(folder, 3, ("red",), seed=1)
    plain, balanced = (
        fit(folder, Options(network=LENET, epochs=1, balance=balance), out=str(balance)) for balance in (False, True)
    )
    assert weights_hash(plain) != weights_hash(balanced)


def test_everything_odd_in_a_folder_is_told(in_tmp_path: Path, make_photos: MakePhotos) -> None:
    folder = make_photos(in_tmp_path / "data", 8, ("blue", "red"))
    make_photos(folder, 3, ("green",), seed=1)
    (folder / "empty").mkdir()
    (folder / "broken").mkdir()
    (folder / "broken" / "1.jpg").touch()
    (folder / "red" / "lies.jpg").write_bytes((folder / "blue" / "img1.png").read_bytes())  # a copy, and a PNG
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "black")]
    frames[0].save(folder / "red" / "moves.gif", save_all=True, append_images=frames[1:])
    run = fit(folder, Options(network=LENET, epochs=1), out="a")
    assert run.result["notes"] == [
        "1 file with an extension that names another format than the content; read by content",
        "1 file with several frames; the first one counts",
        "1 image stands in more than one class, byte for byte; `convwise scan` lists them",
        "1 class with fewer than 5 images to train: 'green'",
        "class folder 'empty' holds no image file and is no class",
        "class 'broken' has no usable image and is no class",
    ]
    assert run.classifier.classes == ("blue", "green", "red")
    (bad,) = (row for row in table(run, "samples.csv") if row["problem"])
    assert (bad["path"], bad["split"], bad["problem"]) == ("broken/1.jpg", "", "zero bytes")
    assert run.result["skipped"] == 1


def test_a_measured_image_that_was_trained_on_is_told(in_tmp_path: Path, make_photos: MakePhotos) -> None:
    folder = make_photos(in_tmp_path / "data", 6, ("blue", "red"), splits=("train", "val"))
    shutil.copy(folder / "train" / "red" / "img0.jpg", folder / "val" / "red" / "copy.jpg")
    notes = fit(folder, Options(network=LENET, epochs=1), out="a").result["notes"]
    assert notes[0] == (
        "1 of the measured images are also in `train`, byte for byte: the figures flatter; `convwise scan` lists them"
    )


def test_names_that_are_hostile_are_written_safely(in_tmp_path: Path, make_photos: MakePhotos) -> None:
    names = ("=cmd()", "b\udce4r", "<script>alert(1)", "a\nb")
    run = fit(make_photos(in_tmp_path / "data", 4, names), Options(network=LENET, epochs=1), out="a")
    assert set(run.classifier.classes) == set(names)
    assert Run.read(run.path).classifier.classes == run.classifier.classes
    page = run.report.read_bytes()
    assert b"<script>alert(1)" not in page
    page.decode("utf-8")
    assert "'=cmd()" in (run.path / "per_class.csv").read_text(errors="surrogateescape")


def test_too_few_images_to_hold_a_tenth_out_is_an_error(in_tmp_path: Path, make_photos: MakePhotos) -> None:
    folder = make_photos(in_tmp_path / "data", 1, ("blue", "red"), splits=("train", "test"))
    text = (
        "training by epochs holds a tenth of `train` out to choose the epoch, and no class has two different "
        "images to spare; add images"
    )
    with pytest.raises(DataError, match=f"^{re.escape(text)}$"):
        fit(folder, Options(network=LENET, epochs=1), out="a")


@pytest.mark.usefixtures("shared_cache")
def test_where_no_image_can_choose_an_epoch_a_ladder_ends_with_the_head(
    in_tmp_path: Path, make_photos: MakePhotos, shared_cache: Path
) -> None:
    assert shared_cache.is_dir()
    data = make_photos(in_tmp_path / "data", 1, ("blue", "red"), splits=("train", "test"))
    run = fit(data, head(transfer="auto"), out=Path("run"))
    (rung,) = run.result["ladder"]
    assert rung["transfer"] == "head"
    assert rung["ended"] == "no image can be spared to choose an epoch of the rung above it, partial"
    text = "training by epochs holds a tenth of `train` out to choose the epoch, and no class has two different"
    with pytest.raises(DataError, match=f"^{re.escape(text)}"):
        fit(data, head(transfer="partial"), out=Path("other"))


def test_one_image_a_class_is_enough_for_a_head(in_tmp_path: Path, make_photos: MakePhotos) -> None:
    folder = make_photos(in_tmp_path / "data", 1, ("blue", "red"), splits=("train", "test"))
    assert fit(folder, head(), out="a").result["n"] == 2


@pytest.mark.usefixtures("shared_cache")
def test_features_that_are_no_numbers_are_an_error(
    in_tmp_path: Path, split_photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del in_tmp_path
    monkeypatch.setattr(FrozenNetwork, "run", lambda *_: [np.full((1, 1280), np.nan, np.float32)])
    monkeypatch.setattr(FrozenNetwork, "engine", staticmethod(lambda: "broken"))  # other rows in the cache
    text = "cached features are damaged (not finite); clear them with `convwise cache --clear`"
    with pytest.raises(DataError, match=f"^{re.escape(text)}$"), np.errstate(all="ignore"):
        fit(split_photos, head(), out="a")


def test_statistics_of_pixels_are_those_of_numpy() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 7, 3), np.uint8)
    pixels[..., 2] = 9
    mean, std = pixel_statistics(pixels, np.ones(5, bool))
    assert mean == pytest.approx(pixels.mean(axis=(0, 1, 2)))
    assert std[:2] == pytest.approx(pixels.std(axis=(0, 1, 2))[:2])
    assert std[2] == 1  # a channel without contrast is not divided by nothing
    Preprocessing(mean=mean, std=std)

"""`convwise augment`: one picture, or one line that says why not."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .harness import Convwise, picture, write_folder, write_photos


def test_the_sheet_is_a_png_of_the_size_that_is_said(convwise: Convwise, photos: Path, tmp_path: Path) -> None:
    out = convwise("augment", photos, "--out", "sheet.png").ends(0).out
    found = re.fullmatch(r"sheet\.png: (\d+) x (\d+) pixels, from 20 images\n", out)
    assert found
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.format == "PNG"
        assert sheet.size == (int(found[1]), int(found[2]))


def test_a_seed_repeats_it_and_another_does_not(convwise: Convwise, photos: Path, tmp_path: Path) -> None:
    for name, *options in (("a",), ("b", "--seed", "0"), ("c", "--seed", "1"), ("d", "--size", "96")):
        convwise("augment", photos, "--out", f"{name}.png", *options).ends(0)
    a, b, c, d = (np.asarray(Image.open(tmp_path / f"{name}.png")) for name in "abcd")
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)
    assert d.shape < a.shape


def test_odd_images_are_shown_and_unreadable_ones_passed_over(convwise: Convwise, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "odd", count=1)
    for name, size in (("thin", (1, 900)), ("wide", (900, 2)), ("dot", (1, 1)), ("grey", (40, 30))):
        Image.new("L" if name == "grey" else "RGB", size, 99).save(folder / "disc" / f"{name}.png")
    (folder / "disc" / "broken.jpg").write_bytes(b"no image")
    assert "from 6 images" in convwise("augment", folder, "--out", "sheet.png").ends(0).out


def test_a_manifest_is_shown(convwise: Convwise, tmp_path: Path) -> None:
    lines = [f"pool/{path.name},stripes" for path in write_photos(tmp_path / "pool", 1, 3)]
    (tmp_path / "photos.csv").write_text("\n".join(["path,label", *lines, "junk.jpg,disc"]))
    (tmp_path / "junk.jpg").write_bytes(b"no image")
    out = convwise("augment", "photos.csv", "--out", "sheet.png").ends(0).out
    assert out.endswith(" pixels, from 3 images\n")


def test_idx_files_of_small_grey_images_are_shown(
    convwise: Convwise, make_idx: Callable[..., Path], tmp_path: Path
) -> None:
    levels = np.stack([picture(i % 2, i, 28).mean(axis=2).astype(np.uint8) for i in range(6)])
    data = make_idx(tmp_path / "mnist", "train", levels[:4], [0, 1, 0, 1], ".gz")
    make_idx(data, "t10k", levels[4:], [0, 1])
    out = convwise("augment", data, "--out", "sheet.png").ends(0).out
    assert out.endswith(" pixels, from 6 images\n")


def test_the_training_below_is_the_one_that_is_asked_for(convwise: Convwise, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text("[augmentation]\nhue = 90.0\npca = 0.3\npca_colours = 'own'\n")
    sheets = []
    for i, options in enumerate(
        ((), ("--network", "resnet20"), ("--network", "lenet5", "--recipe", "paper"), ("--recipe", "my.toml"),
         ("--network", "efficientnet_lite0", "--recipe", "modern"), ("--resolution", "48"))
    ):  # fmt: skip
        convwise("augment", photos, "--out", f"{i}.png", *options).ends(0)
        sheets.append(np.asarray(Image.open(tmp_path / f"{i}.png")))
    above = 84 + 8 * (128 + 20)
    assert all(np.array_equal(sheet[:above], sheets[0][:above]) for sheet in sheets)
    assert np.array_equal(sheets[0], sheets[4])
    assert len({sheet.tobytes() for sheet in sheets}) == 5


def test_a_picture_that_is_there_is_replaced_when_asked(convwise: Convwise, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "sheet.png").write_bytes(b"precious")
    text = "--out 'sheet.png' exists already; give --overwrite to replace it, or another file"
    assert convwise("augment", photos, "--out", "sheet.png").ends(2).message == text
    assert (tmp_path / "sheet.png").read_bytes() == b"precious"
    convwise("augment", photos, "--out", "sheet.png", "--overwrite").ends(0)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.format == "PNG"


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        (("PHOTOS", "--out", "sheet.jpg"), 2, "out must end in .png, got 'sheet.jpg'"),
        (
            ("PHOTOS", "--out", "sheet.png", "--recipe", "papers"),
            2,
            "recipe must be one of modern, paper, a file.toml, got 'papers'; did you mean 'paper'?",
        ),
        (
            ("PHOTOS", "--out", "sheet.png", "--resolution", "0"),
            2,
            "resolution must be 1 to 2048 pixels, got 0",
        ),
        (("PHOTOS", "--out", "sheet.png", "--size", "40"), 2, "size must be 96 to 512 pixels, got 40"),
        (
            ("PHOTOS", "--out", "none/sheet.png"),
            2,
            "--out 'none/sheet.png' cannot be written: there is no folder 'none'",
        ),
        (
            ("nowhere", "--out", "sheet.png"),
            3,
            (
                "data 'nowhere' does not exist; give a folder with one sub-folder of images a class, a folder of IDX "
                "files, or a CSV manifest"
            ),
        ),
    ],
)
def test_what_cannot_be_done_is_one_line(
    convwise: Convwise, photos: Path, options: tuple[str, ...], code: int, text: str
) -> None:
    arguments = [photos if word == "PHOTOS" else word for word in options]
    assert convwise("augment", *arguments).ends(code).message == text


def test_a_folder_without_one_readable_image_is_one_line(convwise: Convwise, tmp_path: Path) -> None:
    folder = tmp_path / "bad" / "disc"
    folder.mkdir(parents=True)
    (folder / "a.jpg").write_bytes(b"no image")
    text = f"none of the 1 image files in {str(folder.parent)!r} can be read; `convwise scan` says why"
    assert convwise("augment", folder.parent, "--out", "sheet.png").ends(3).message == text

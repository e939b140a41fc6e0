"""`convwise scan` finds what is wrong with a folder, and changes nothing."""

import csv
import shutil
from pathlib import Path

import pytest
from PIL import Image

from .harness import Convwise, picture, sha256, write_folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Train and val of two classes, with one thing wrong of each kind."""
    data = tmp_path / "data"
    write_folder(data / "train", count=4)
    write_folder(data / "val", count=0)
    disc, stripes, val = data / "train" / "disc", data / "train" / "stripes", data / "val" / "disc"
    for name, seed in (("disc", 70), ("stripes", 71)):
        Image.fromarray(picture(0, seed)).save(data / "val" / name / "fresh.jpg")
    (disc / "junk.jpg").write_bytes(b"junk")
    (disc / "cut.jpg").write_bytes((disc / "0.jpg").read_bytes()[:900])
    Image.fromarray(picture(0, 72)).save(disc / "really-png.jpg", "PNG")
    shutil.copy(disc / "1.jpg", disc / "1-copy.jpg")
    shutil.copy(disc / "2.jpg", val / "leaked.jpg")
    shutil.copy(disc / "3.jpg", stripes / "also-disc.jpg")
    Image.fromarray(picture(0, 73, 20)).save(disc / "tiny.png")
    Image.fromarray(picture(0, 74, 400)[:60]).save(disc / "wide.png")
    (disc / "notes.txt").write_text("notes")
    return data


EXPECTED = {
    ("unreadable", "train/disc/junk.jpg", "not an image that can be read (4 bytes)"),
    ("unreadable", "train/disc/cut.jpg", "cut short (truncated)"),
    ("extension lies", "train/disc/really-png.jpg", "the content is PNG"),
    ("duplicate", "train/disc/1.jpg", "the same bytes as train/disc/1-copy.jpg"),
    ("in two splits", "val/disc/leaked.jpg", "the same bytes as train/disc/2.jpg"),
    ("in two classes", "train/stripes/also-disc.jpg", "the same bytes as train/disc/3.jpg"),
    ("tiny", "train/disc/tiny.png", "20 x 20 pixels"),
    ("extreme aspect", "train/disc/wide.png", "400 x 60 pixels"),
}


def tree(folder: Path) -> dict[str, tuple[int, str]]:
    """Path -> time of change and hash."""
    return {str(path): (path.lstat().st_mtime_ns, sha256(path) if path.is_file() else "") for path in folder.rglob("*")}


def test_scan_lists_what_is_wrong_and_changes_nothing(convwise: Convwise, data: Path, tmp_path: Path) -> None:
    before = tree(data)
    found = convwise("scan", data, "--json", "--quiet", "--csv", "problems.csv").ends(0)
    assert found.err == ""
    record = found.json
    assert {(p["kind"], p["path"], p["detail"]) for p in record["problems"]} == EXPECTED
    assert record["classes"] == {"disc": {"train": 8, "val": 2}, "stripes": {"train": 5, "val": 1}}
    assert (record["n"], record["skipped"]) == (16, 2)
    assert record["ignored"] == {"files that are not images by their extension": 1}
    with (tmp_path / "problems.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["kind"], row["path"], row["detail"]) for row in rows} == EXPECTED
    assert all(row["advice"] for row in rows)
    text = convwise("scan", data, "--quiet").ends(0).out
    assert "16 usable images in 2 classes, 2 that cannot be used" in text
    assert "2 unreadable: replace the file or delete it" in text
    assert tree(data) == before


def test_fit_evaluate_and_predict_change_no_file_of_the_user_either(
    convwise: Convwise, data: Path, tmp_path: Path
) -> None:
    before = tree(data)
    found = convwise.fit(data, "run").ends(0).json
    assert any("1 of the measured images are also in `train`" in note for note in found["notes"])
    convwise("evaluate", "run", data, "--quiet").ends(0)
    convwise("predict", "run", data).ends(0)
    assert tree(data) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "run"]


def test_a_clean_folder_has_nothing_to_fix(convwise: Convwise, photos: Path) -> None:
    found = convwise("scan", photos, "--quiet").ends(0)
    assert found.out.endswith("nothing to fix\n")
    assert convwise("scan", photos, "--quiet", "--json").ends(0).json["problems"] == []


def test_a_folder_that_is_not_there_is_an_error(convwise: Convwise) -> None:
    convwise("scan", "absent").ends(3)

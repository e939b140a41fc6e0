"""Exit 3: data or a classifier that are absent or unusable."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from .harness import Convwise, write_folder, write_photos

TOO_LONG = "x" * 300


def test_data_that_are_not_there_are_an_error(convwise: Convwise, tmp_path: Path) -> None:
    where = "give a folder with one sub-folder of images a class, a folder of IDX files, or a CSV manifest"
    assert convwise.fit("absent", "out").ends(3).message == f"data 'absent' does not exist; {where}"
    (tmp_path / "file").write_text("a file")
    assert convwise.fit("file", "out").ends(3).message == f"data 'file' is a file, not a folder; {where}"
    assert not list(tmp_path.glob("out*"))


def test_names_that_are_too_long_are_errors_like_any_other(convwise: Convwise, photos: Path, run: Path) -> None:
    assert "does not exist" in convwise.fit(TOO_LONG, "out").ends(3).message
    assert "does not exist" in convwise("evaluate", TOO_LONG, photos).ends(3).message
    assert convwise.fit(photos, TOO_LONG).ends_somehow(2, 6).message
    row = convwise("predict", run, TOO_LONG, "--json").ends_somehow(3).json["predictions"][0]
    assert row["error"] == "cannot be read: File name too long"


def test_a_folder_without_images_says_what_it_found(convwise: Convwise, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    assert "(it is empty)" in convwise.fit(data, "out").ends(3).message
    Image.new("RGB", (40, 40)).save(data / "loose.png")
    (data / "notes").mkdir()
    (data / "notes" / "a.txt").write_text("a")
    found = convwise.fit(data, "out").ends(3)
    assert "1 loose files beside the class folders; 1 files that are not images by their extension" in found.message
    assert "one sub-folder a class" in found.message


def test_one_class_is_not_enough(convwise: Convwise, tmp_path: Path) -> None:
    data = write_folder(tmp_path / "data", ["alone"], count=4)
    found = convwise.fit(data, "out").ends(3)
    assert found.message == ("only one class has usable training images: 'alone'; a classifier needs two or more")


def test_only_broken_images_are_an_error_that_shows_the_first(convwise: Convwise, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "1.jpg").write_bytes(b"\xff\xd8\xff\xe0 and nothing behind")
    found = convwise.fit("data", "out").ends(3)
    assert "none of the 2 image files in 'data' can be used; the first is 'a/1.jpg': " in found.message


def test_two_classes_of_which_one_is_broken_are_one_class(convwise: Convwise, tmp_path: Path) -> None:
    data = write_folder(tmp_path / "data", ["good"], count=3)
    (data / "bad").mkdir()
    (data / "bad" / "1.jpg").write_bytes(b"junk")
    assert "only one class has usable training images: 'good'" in convwise.fit(data, "out").ends(3).message


def test_one_image_a_class_leaves_nothing_to_measure(convwise: Convwise, tmp_path: Path) -> None:
    found = convwise.fit(write_folder(tmp_path / "data", count=1), "out").ends(3)
    assert "nothing is left to measure" in found.message


def test_a_class_that_train_lacks_is_an_error(convwise: Convwise, tmp_path: Path) -> None:
    data = tmp_path / "data"
    write_folder(data / "train", count=3)
    write_folder(data / "val", count=2)
    write_photos(data / "val" / "chess", 2, 2)
    found = convwise.fit(data, "out").ends(3)
    assert found.message.startswith("`val` has 1 class that `train` lacks: 'chess'; add images of it to `train`")


def test_split_names_beside_class_names_are_an_error(convwise: Convwise, tmp_path: Path) -> None:
    data = write_folder(tmp_path / "data", ["train", "disc"], count=2)
    assert "mixes split folders (train) with others (disc)" in convwise.fit(data, "out").ends(3).message


def test_no_failed_run_leaves_a_finished_one_and_the_mended_data_go_through(convwise: Convwise, tmp_path: Path) -> None:
    data = write_folder(tmp_path / "data", ["disc"], count=4)
    convwise.fit(data, "out").ends(3)
    assert not (tmp_path / "out").exists()
    write_photos(data / "stripes", 1, 4)
    convwise.fit(data, "out", "--seed", "1").ends(0)


def test_a_classifier_that_is_not_there_is_an_error(convwise: Convwise, photos: Path, tmp_path: Path) -> None:
    wanted = "give the folder of a run, or its classifier folder"
    found = convwise("evaluate", "absent", photos).ends(3)
    assert found.message == f"classifier 'absent' does not exist; {wanted}"
    (tmp_path / "empty").mkdir()
    found = convwise("predict", "empty", photos).ends(3)
    assert found.message == f"classifier 'empty' has no classifier.json; {wanted}"


@pytest.mark.parametrize("name", ["classifier.json", "weights.safetensors", "network.onnx"])
def test_one_changed_byte_of_a_classifier_is_found(convwise: Convwise, run: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(run / "classifier", tmp_path / "c")
    content = bytearray((tmp_path / "c" / name).read_bytes())
    place = content.index(b"disc") if name.endswith(".json") else len(content) // 2
    content[place] ^= 1
    (tmp_path / "c" / name).write_bytes(content)
    found = convwise("predict", "c", "any.jpg").ends(3)
    assert found.message == (
        f"classifier 'c': {name} was changed since it was saved (its sha256 differs); restore the folder, or fit again"
    )
    (tmp_path / "c" / name).unlink()
    assert name in convwise("predict", "c", "any.jpg").ends(3).message


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"\xff", b"[" * 100_000, b'{"schema_version": 1, "sha256": 5}',
     b'{"schema_version": 1, "sha256": {}}'],
    ids=["empty", "list", "not UTF-8", "deep", "hash is a number", "no hashes"],
)  # fmt: skip
def test_a_damaged_record_of_a_classifier_is_an_error(
    convwise: Convwise, run: Path, tmp_path: Path, content: bytes
) -> None:
    shutil.copytree(run / "classifier", tmp_path / "c")
    (tmp_path / "c" / "classifier.json").write_bytes(content)
    convwise("predict", "c", "any.jpg").ends(3)


def test_a_classifier_of_a_newer_version_says_so(convwise: Convwise, run: Path, tmp_path: Path) -> None:
    shutil.copytree(run / "classifier", tmp_path / "c")
    record = json.loads((tmp_path / "c" / "classifier.json").read_text())
    (tmp_path / "c" / "classifier.json").write_text(json.dumps(record | {"schema_version": 99}))
    found = convwise("predict", "c", "any.jpg").ends(3)
    assert "has schema version 99, this convwise reads 1" in found.message


def test_classes_that_the_classifier_does_not_know_are_an_error(convwise: Convwise, run: Path, tmp_path: Path) -> None:
    data = write_folder(tmp_path / "data", ["disc", "chess", "zebra"], count=2)
    found = convwise("evaluate", run, data).ends(3)
    assert "has 2 classes that the classifier does not know: 'chess', 'zebra'; it knows 'disc'" in found.message


def test_a_split_without_images_is_an_error(convwise: Convwise, run: Path, photos: Path) -> None:
    found = convwise("evaluate", run, photos, "--split", "val").ends(3)
    assert "has no usable image in split 'val', only in test, train" in found.message

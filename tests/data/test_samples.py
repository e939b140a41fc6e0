import os
import re
import unicodedata
from pathlib import Path

import pytest

from convwise.data.samples import Listing, list_folder, natural_key
from convwise.errors import DataError

WHAT_TO_GIVE = "give a folder with one sub-folder of images a class, a folder of IDX files, or a CSV manifest"


def touch(root: Path, *paths: str) -> Path:
    """Make empty files; nothing is opened by a listing, so bytes do not matter."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def found(listing: Listing) -> list[tuple[str, str, str | None]]:
    return [(s.path, s.label, s.split) for s in listing.samples]


def test_a_flat_folder_has_a_class_for_each_folder_and_no_split(tmp_path: Path) -> None:
    listing = list_folder(touch(tmp_path, "cat/1.jpg", "cat/deep/er/2.PNG", "dog/1.webp"))
    assert found(listing) == [
        ("cat/1.jpg", "cat", None),
        ("cat/deep/er/2.PNG", "cat", None),
        ("dog/1.webp", "dog", None),
    ]
    assert {s.split for s in listing.samples} == {None}
    assert listing.root == tmp_path
    assert listing.path(listing.samples[0]) == tmp_path / "cat/1.jpg"


@pytest.mark.parametrize("val", ["val", "valid", "validation", "Val", "VALIDATION"])
def test_a_split_folder_gives_every_sample_its_split(tmp_path: Path, val: str) -> None:
    listing = list_folder(touch(tmp_path, "train/cat/1.jpg", f"{val}/cat/1.jpg", "TEST/cat/1.jpg"))
    assert {(s.path.split("/")[0], s.split) for s in listing.samples} == {
        ("train", "train"),
        (val, "val"),
        ("TEST", "test"),
    }
    assert None not in {s.split for s in listing.samples}
    assert {s.label for s in listing.samples} == {"cat"}


def test_hidden_top_folders_do_not_make_a_mixture(tmp_path: Path) -> None:
    listing = list_folder(touch(tmp_path, "train/cat/1.jpg", ".cache/cat/1.jpg"))
    assert found(listing) == [("train/cat/1.jpg", "cat", "train")]
    assert listing.ignored == {"hidden files or folders": 1}


def test_a_mixture_of_splits_and_classes_is_an_error(tmp_path: Path) -> None:
    touch(tmp_path, "train/cat/1.jpg", "test/cat/1.jpg", "img10/1.jpg", "img2/1.jpg", "img1/1.jpg", "img3/1.jpg")
    text = (
        f"data folder {str(tmp_path)!r} mixes split folders (test, train) with others (img1, img2, img3); "
        "name every top folder train, val or test, or none of them"
    )
    with pytest.raises(DataError, match=f"^{re.escape(text)}$"):
        list_folder(tmp_path)


def test_what_is_passed_over_is_counted(tmp_path: Path) -> None:
    touch(
        tmp_path, "cat/1.jpg", "cat/.hidden.jpg", "cat/.git/2.jpg", "cat/notes.txt", "cat/noextension",
        "cat/a/Thumbs.db", "readme.md", "loose.jpg", ".DS_Store", "dog/1.jpg",
    )  # fmt: skip
    listing = list_folder(tmp_path)
    assert [s.path for s in listing.samples] == ["cat/1.jpg", "dog/1.jpg"]
    assert listing.ignored == {
        "hidden files or folders": 3,
        "files that are not images by their extension": 3,
        "loose files beside the class folders": 2,
    }


def test_loose_files_in_a_split_are_counted(tmp_path: Path) -> None:
    listing = list_folder(touch(tmp_path, "train/cat/1.jpg", "train/loose.jpg", "test/cat/2.jpg", "x.csv"))
    assert len(listing.samples) == 2
    assert listing.ignored == {"loose files beside the class folders": 2}


def test_class_folders_without_images_are_named(tmp_path: Path) -> None:
    touch(tmp_path, "cat/1.jpg", "img10/a.txt")
    (tmp_path / "img2" / "deep").mkdir(parents=True)
    assert list_folder(tmp_path).empty == ("img2", "img10")


def test_samples_are_in_natural_order(tmp_path: Path) -> None:
    touch(tmp_path, "b/img10.jpg", "b/img2.jpg", "b/IMG3.jpg", "a10/x.jpg", "a9/x.jpg")
    expected = ["a9/x.jpg", "a10/x.jpg", "b/img2.jpg", "b/IMG3.jpg", "b/img10.jpg"]
    assert [s.path for s in list_folder(tmp_path).samples] == expected


def test_natural_order_tells_all_names_apart() -> None:
    names = ["a", "A", "a1", "a01", "1a", "a1b2", "a1b10", "", "10", "9"]
    assert len({natural_key(name) for name in names}) == len(names)
    assert sorted(["a1b10", "a1b2", "a1"], key=natural_key) == ["a1", "a1b2", "a1b10"]
    assert sorted(["10", "9", "x"], key=natural_key) == ["9", "10", "x"]


def test_labels_are_composed_whatever_the_file_system_made_of_them(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "Bär")
    listing = list_folder(touch(tmp_path, f"train/{decomposed}/1.jpg", "test/Bär/1.jpg"))
    assert {s.label for s in listing.samples} == {"Bär"}
    assert all(listing.path(s).is_file() for s in listing.samples)  # the path keeps the bytes


def test_names_that_are_not_utf_8_are_listed(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/cat"
    os.mkdir(folder)
    with open(folder + b"/\xff.jpg", "wb"):
        pass
    assert [s.path for s in list_folder(tmp_path).samples] == ["cat/\udcff.jpg"]


def test_links_to_folders_and_files_are_followed(tmp_path: Path) -> None:
    touch(tmp_path, "elsewhere/1.jpg", "photos/dog/1.jpg")
    (tmp_path / "photos/cat").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "photos/dog/2.jpg").symlink_to(tmp_path / "elsewhere/1.jpg")
    assert [s.path for s in list_folder(tmp_path / "photos").samples] == ["cat/1.jpg", "dog/1.jpg", "dog/2.jpg"]


@pytest.mark.parametrize("target", [".", "cat", "cat/deep"])
def test_a_link_to_a_folder_above_is_counted_and_not_followed(tmp_path: Path, target: str) -> None:
    touch(tmp_path, "cat/1.jpg", "cat/deep/2.jpg", "dog/1.jpg")
    (tmp_path / "cat/deep/again").symlink_to(tmp_path / target)
    listing = list_folder(tmp_path)
    assert [s.path for s in listing.samples] == ["cat/1.jpg", "cat/deep/2.jpg", "dog/1.jpg"]
    assert listing.ignored == {"links that lead back to a folder above": 1}


def test_a_link_to_the_folder_of_the_split_takes_no_image_of_another_class(tmp_path: Path) -> None:
    touch(tmp_path, "train/cat/1.jpg", "train/dog/1.jpg", "test/cat/1.jpg")
    (tmp_path / "train/cat/up").symlink_to(tmp_path / "train")
    listing = list_folder(tmp_path)
    assert [s.path for s in listing.samples] == ["test/cat/1.jpg", "train/cat/1.jpg", "train/dog/1.jpg"]
    assert listing.ignored == {"links that lead back to a folder above": 1}


def test_two_folders_that_link_to_each_other_end(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.jpg", "b/2.jpg")
    (tmp_path / "a/to_b").symlink_to(tmp_path / "b")
    (tmp_path / "b/to_a").symlink_to(tmp_path / "a")
    assert [s.path for s in list_folder(tmp_path).samples] == ["a/1.jpg", "a/to_b/2.jpg", "b/2.jpg", "b/to_a/1.jpg"]


def test_a_link_to_itself_is_a_file_and_ends_no_listing(tmp_path: Path) -> None:
    touch(tmp_path, "cat/1.jpg")
    (tmp_path / "cat/loop.jpg").symlink_to("loop.jpg")
    (tmp_path / "cat/loop").symlink_to("loop")
    (tmp_path / "top").symlink_to("top")
    listing = list_folder(tmp_path)
    assert [s.path for s in listing.samples] == ["cat/1.jpg", "cat/loop.jpg"]  # decoding will say why it is unusable
    assert sum(listing.ignored.values()) == 2


def test_a_folder_with_the_name_of_an_image_is_a_folder(tmp_path: Path) -> None:
    listing = list_folder(touch(tmp_path, "cat/album.jpg/1.jpg"))
    assert found(listing) == [("cat/album.jpg/1.jpg", "cat", None)]


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    text = f"data {str(tmp_path / 'no')!r} does not exist; {WHAT_TO_GIVE}"
    with pytest.raises(DataError, match=f"^{re.escape(text)}$"):
        list_folder(tmp_path / "no")


def test_a_file_in_place_of_the_folder_is_an_error(tmp_path: Path) -> None:
    file = touch(tmp_path, "a.zip") / "a.zip"
    text = f"data {str(file)!r} is a file, not a folder; {WHAT_TO_GIVE}"
    with pytest.raises(DataError, match=f"^{re.escape(text)}$"):
        list_folder(file)


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    text = (
        f"data folder {str(tmp_path)!r} holds no images in class folders (it is empty); "
        "it needs one sub-folder a class, with files such as .jpg, .jpeg, .jpe, .png, .webp"
    )
    with pytest.raises(DataError, match=f"^{re.escape(text)}$"):
        list_folder(tmp_path)


def test_a_folder_of_loose_images_says_what_was_seen(tmp_path: Path) -> None:
    touch(tmp_path, "1.jpg", "2.jpg", ".hidden", "cat/notes.txt")
    with pytest.raises(DataError, match=r"\(") as caught:
        list_folder(tmp_path)
    for part in ("2 loose files beside the class folders", "1 hidden files or folders", "1 files that are not images"):
        assert part in str(caught.value)


def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "cat/1.jpg")

    def scandir(folder: Path) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(os, "scandir", scandir)
    text = f"folder {str(tmp_path)!r} cannot be listed: Permission denied"
    with pytest.raises(DataError, match=f"^{re.escape(text)}$"):
        list_folder(tmp_path)

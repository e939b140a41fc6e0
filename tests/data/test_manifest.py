import re
import unicodedata
from pathlib import Path

import pytest

from convwise.data.manifest import list_manifest
from convwise.errors import DataError


def write(folder: Path, text: str | bytes, *files: str) -> Path:
    """Write a manifest, and empty files for it; nothing is opened by a listing."""
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    manifest = folder / "photos.csv"
    manifest.write_bytes(text if isinstance(text, bytes) else text.encode())
    return manifest


def refuses(manifest: Path, what: str) -> None:
    with pytest.raises(DataError, match=f"^{re.escape(f'manifest {str(manifest)!r} {what}')}$"):
        list_manifest(manifest)


def test_each_line_is_an_image_in_natural_order(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere" / "5.jpg"
    manifest = write(
        tmp_path / "data",
        f"path,label\nb/img10.jpg,dog\nb/img2.jpg, cat \n{elsewhere},cat\n../elsewhere/6.weird,dog\n\n",
        "b/img10.jpg", "b/img2.jpg", "../elsewhere/5.jpg", "../elsewhere/6.weird",
    )  # fmt: skip
    listing = list_manifest(manifest)
    assert [(s.path, s.label, s.split, s.group) for s in listing.samples] == [
        ("../elsewhere/6.weird", "dog", None, None),
        (str(elsewhere), "cat", None, None),
        ("b/img2.jpg", "cat", None, None),
        ("b/img10.jpg", "dog", None, None),
    ]
    assert [listing.path(s).resolve().name for s in listing.samples] == ["6.weird", "5.jpg", "img2.jpg", "img10.jpg"]
    assert all(listing.path(s).is_file() for s in listing.samples)
    assert listing.root == manifest
    assert (listing.ignored, listing.empty) == ({}, ())


def test_a_relative_manifest_names_files_beside_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "path,label\na.jpg,x\n", "a.jpg")
    monkeypatch.chdir(tmp_path)
    listing = list_manifest(Path("photos.csv"))
    assert listing.stamp(listing.samples[0]) is not None
    assert listing.read(listing.samples[0]) == b""


def test_columns_stand_in_any_order_and_splits_have_several_names(tmp_path: Path) -> None:
    manifest = write(
        tmp_path, "group, Split ,label,path\np1,Train,x,1\np1,TRAIN,y,2\n,validation,x,3\np3,test,y,4\n", *"1234"
    )
    found = [(s.path, s.label, s.split, s.group) for s in list_manifest(manifest).samples]
    assert found == [
        ("1", "x", "train", "p1"),
        ("2", "y", "train", "p1"),
        ("3", "x", "val", None),
        ("4", "y", "test", "p3"),
    ]


def test_a_column_that_is_empty_says_nothing(tmp_path: Path) -> None:
    manifest = write(tmp_path, "path,label,split,group\n1,x,,\n2,y,,\n", *"12")
    assert [(s.split, s.group) for s in list_manifest(manifest).samples] == [(None, None)] * 2


def test_what_spreadsheets_write_is_read(tmp_path: Path) -> None:
    name = 'a, "quoted" name.jpg'
    text = '\ufeffpath,label\r\n"a, ""quoted"" name.jpg","Bär, brown"\r\n'
    (sample,) = list_manifest(write(tmp_path, text, name)).samples
    assert (sample.path, sample.label) == (name, "Bär, brown")


def test_labels_are_composed_like_those_of_folders(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "Bär")
    manifest = write(tmp_path, f"path,label\n1,{decomposed}\n2,Bär\n", *"12")
    assert {s.label for s in list_manifest(manifest).samples} == {"Bär"}


HEADER = "its first line must name path, label and, where they are wanted, split and group"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", f"has no column 'path'; {HEADER}; got ''"),
        ("1,x\n2,y\n", f"has no column 'path'; {HEADER}; got '1,x'"),
        ("path;label\n1;x\n", f"has no column 'path'; {HEADER}; got 'path;label'"),
        ("path,class\n1,x\n", f"has no column 'label'; {HEADER}; got 'path,class'"),
        ("path,label,spilt\n1,x,test\n", (f"has a column 'spilt', which means nothing here; {HEADER}; "
                                         "got 'path,label,spilt'")),
        ("path,label,label\n1,x,y\n", f"has a column twice; {HEADER}; got 'path,label,label'"),
        ("path,label\n", "names no image; below the line with path,label it needs one line an image"),
        ("path,label\n1,x\n2\n", "has 1 cells on line 3, and 2 columns"),
        ("path,label\n1,x,y\n", "has 3 cells on line 2, and 2 columns"),
        ("path,label\n,x\n", "has no path on line 2; take the line out, or fill it in"),
        ("path,label\n1,x\n2, \n", "has no label on line 3; take the line out, or fill it in"),
        ("path,label,split\n1,x,dev\n", ("has split 'dev' on line 2; a split must be one of train, val, valid, "
                                        "validation, test")),
        ("path,label\n1,x\n\"2,y\n", "is no CSV on line 3: unexpected end of data"),
        (b"path,label\n1,B\xe4r\n", "is not UTF-8 text; save it as CSV in UTF-8"),
        ("path,label,split\n1,x,train\n2,y,\n", ("has a split on line 2 and none on line 3; give every line one, "
                                                "or none")),
    ],
)  # fmt: skip
def test_what_is_no_manifest_is_refused(tmp_path: Path, text: str | bytes, what: str) -> None:
    refuses(write(tmp_path, text, "1", "2"), what)


def test_files_that_are_missing_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    manifest = write(tmp_path, "path,label\n1,x\nno.jpg,x\n2,y\n/no/where.jpg,y\n", "1", "2")
    refuses(
        manifest,
        f"names 2 of 4 file(s) that do not exist, the first 'no.jpg' on line 3; "
        f"a path that is not absolute begins in {str(tmp_path)!r}",
    )


@pytest.mark.parametrize("name", ["a\0b", "x" * 300])
def test_what_can_be_no_file_is_missing(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"names 1 of 2 file\(s\) that do not exist, the first '.+' on line 3; "):
        list_manifest(write(tmp_path, f"path,label\n1,x\n{name},y\n", "1"))


@pytest.mark.parametrize("again", ["a/1.jpg", "./a/1.jpg", "a/../a//1.jpg", "{absolute}"])
def test_a_file_that_is_named_twice_is_refused(tmp_path: Path, again: str) -> None:
    again = again.format(absolute=tmp_path / "a" / "1.jpg")
    manifest = write(tmp_path, f"path,label\na/1.jpg,x\n2,y\n{again},x\n2,x\n", "a/1.jpg", "2")
    refuses(manifest, f"names 2 file(s) twice, the first {again!r} on lines 2 and 4; take one out")


def test_a_group_in_two_splits_is_refused(tmp_path: Path) -> None:
    manifest = write(tmp_path, "path,label,split,group\n1,x,train,p7\n2,y,train,p8\n3,x,test,p7\n", *"123")
    refuses(manifest, "has group 'p7' in train on line 2 and in test on line 4; a group must stay in one split")


def test_a_group_with_and_without_a_split_is_told_by_its_lines(tmp_path: Path) -> None:
    manifest = write(tmp_path, "path,label,split,group\n1,x,train,p7\n2,y,,p7\n", *"12")
    refuses(manifest, "has a split on line 2 and none on line 3; give every line one, or none")


def test_a_manifest_that_cannot_be_read_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = write(tmp_path, "path,label\n")

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(manifest))

    monkeypatch.setattr(Path, "open", denied)
    refuses(manifest, "cannot be read: Permission denied")

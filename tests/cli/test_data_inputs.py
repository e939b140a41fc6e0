"""A CSV manifest and a folder of IDX files stand wherever a folder of classes does."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from .harness import Convwise, picture, write_photos

MakeIdx = Callable[..., Path]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Two classes with 20 photos each, in groups of four, two of each class; one photo is junk."""
    lines = ["path,label,group"]
    for kind, label in enumerate(("disc", "stripes")):
        for n, path in enumerate(write_photos(tmp_path / "pool" / str(kind), kind, 20)):
            lines.append(f"../pool/{kind}/{path.name},{label},visit {n // 2}")
    (tmp_path / "pool" / "0" / "3.jpg").write_bytes(b"junk")
    path = tmp_path / "lists" / "photos.csv"
    path.parent.mkdir()
    path.write_text("\n".join(lines))
    return path


def test_a_manifest_is_scanned_fitted_and_evaluated(convwise: Convwise, manifest: Path, tmp_path: Path) -> None:
    found = convwise("scan", manifest, "--json", "--quiet").ends(0).json
    assert found["classes"] == {"disc": {"all": 19}, "stripes": {"all": 20}}
    problem = ("unreadable", "../pool/0/3.jpg", "not an image that can be read (4 bytes)")
    assert [tuple(p.values()) for p in found["problems"]] == [problem]
    fitted = convwise.fit(manifest, "run").ends(0).json
    assert (fitted["split"], fitted["skipped"], fitted["classes"]) == ("test", 1, 2)
    samples = rows(tmp_path / "run" / "samples.csv")
    assert len(samples) == 40
    sides = {(s["group"], s["split"]) for s in samples if s["split"]}
    assert len(sides) == len({group for group, _ in sides}) == 10
    assert {split for _, split in sides} == {"train", "test"}
    again = convwise("evaluate", "run", "lists/photos.csv", "--views", "10", "--json", "--quiet").ends(0).json
    same = ("top1", "n", "split")
    assert [again[key] for key in same] == [fitted[key] for key in same]
    assert [(row["views"], row["n"]) for row in again["rows"]] == [(None, fitted["n"]), ("10", fitted["n"])]
    assert again["trained_on"] == 0
    page = (tmp_path / "run" / "report.html").read_text()
    assert "photos.csv" in page


def test_idx_files_are_scanned_fitted_and_evaluated(convwise: Convwise, make_idx: MakeIdx, tmp_path: Path) -> None:
    kinds = [i % 3 for i in range(90)]
    levels = np.stack([picture(kind, i, 28).mean(axis=2).astype(np.uint8) for i, kind in enumerate(kinds)])
    data = make_idx(tmp_path / "mnist", "train", levels[:60], kinds[:60], ".gz")
    wrong = [2, *kinds[61:]]  # the first of the test images is called by another class, so that there is a mistake
    make_idx(data, "t10k", levels[60:], wrong)
    found = convwise("scan", data, "--json", "--quiet").ends(0).json
    assert found["classes"] == {"0": {"train": 20, "test": 9}, "1": {"train": 20, "test": 10},
                                "2": {"train": 20, "test": 11}}  # fmt: skip
    assert found["problems"] == []
    arguments = ("--network", "lenet5", "--epochs", "12")
    fitted = convwise.fit(data, "run", *arguments).ends(0).json
    assert (fitted["split"], fitted["n"], fitted["classes"]) == ("test", 30, 3)
    samples = rows(tmp_path / "run" / "samples.csv")
    second = samples[1]
    assert (second["path"], second["label"], second["split"]) == ("train-images-idx3-ubyte.gz#1", "1", "train")
    assert all(len(s["sha256"]) == 64 for s in samples)
    page = (tmp_path / "run" / "report.html").read_text()
    assert "t10k-images-idx3-ubyte#0" in page
    assert "data:image/jpeg;base64," in page
    assert "no picture" not in page
    assert "where in it" in page  # heat
    again = convwise("evaluate", "run", data, "--views", "flip", "--json", "--quiet").ends(0).json
    assert (again["top1"], again["n"], again["split"]) == (fitted["top1"], 30, "test")
    assert [(row["views"], row["n"]) for row in again["rows"]] == [(None, 30), ("flip", 30)]
    convwise.fit(data, "second", *arguments).ends(0)
    assert json.loads((tmp_path / "second" / "run.json").read_text())["files_read"] == 0


def test_bad_manifests_and_idx_files_are_one_line(convwise: Convwise, make_idx: MakeIdx, tmp_path: Path) -> None:
    write_photos(tmp_path, 0, 2)
    idx = make_idx(tmp_path / "mnist", "train", np.zeros((4, 28, 28), np.uint8), [0, 1, 0, 1])
    images = idx / "train-images-idx3-ubyte"
    images.write_bytes(images.read_bytes()[:-1])
    (tmp_path / "missing.csv").write_text("path,label\n0.jpg,a\n7.jpg,b\n")
    (tmp_path / "twice.csv").write_text("path,label\n0.jpg,a\n1.jpg,b\n0.jpg,a\n")
    (tmp_path / "torn.csv").write_text("path,label,split,group\n0.jpg,a,train,g\n1.jpg,b,test,g\n")
    for data, text in (
        ("missing.csv", "names 1 of 2 file(s) that do not exist, the first '7.jpg' on line 3; "),
        ("twice.csv", "names 1 file(s) twice, the first '0.jpg' on lines 2 and 4; take one out"),
        ("torn.csv", "has group 'g' in train on line 2 and in test on line 3; a group must stay in one split"),
        ("mnist", "is cut short: it has 3151 of 3152 bytes; get it again"),
    ):
        for command in (("fit", data, "--out", "out"), ("scan", data)):
            found = convwise(*command).ends(3)
            assert text in found.message
            assert found.out == ""
    assert not list(tmp_path.glob("out*"))

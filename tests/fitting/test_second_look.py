"""What a run says of its data: labels to check and images that are nearly the same."""

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from convwise.data.samples import Sample, list_folder
from convwise.fitting import Options, Run, fit, second_look
from convwise.fitting.from_scratch import FromScratch
from convwise.fitting.second_look import kind_of
from convwise.fitting.trained_candidate import TrainedCandidate


def table(run: Run, name: str) -> list[dict[str, str]]:
    with (run.path / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def spoilt(photos: Path, tmp_path: Path) -> Path:
    """Thirty photos of three colours: a red one among the blue, and one photo three times."""
    folder = Path(shutil.copytree(photos, tmp_path / "photos"))
    shutil.move(folder / "red" / "img4.jpg", folder / "blue" / "moved.jpg")
    shutil.copy(folder / "green" / "img0.jpg", folder / "green" / "same bytes.jpg")
    with Image.open(folder / "green" / "img0.jpg") as image:
        image.save(folder / "green" / "saved again.png")
    return folder


@pytest.mark.usefixtures("shared_cache")
def test_a_wrong_label_and_a_copy_are_in_the_tables_and_on_the_page(spoilt: Path, tmp_path: Path) -> None:
    run = fit(spoilt, Options(resolution=64, threads=2), out=tmp_path / "run")
    doubts, pairs = table(run, "doubts.csv"), table(run, "near_duplicates.csv")
    assert (doubts[0]["path"], doubts[0]["label"], doubts[0]["suggested"]) == ("blue/moved.jpg", "blue", "red")
    assert float(doubts[0]["prob_wrong"]) > 0.5
    assert float(doubts[0]["prob_label"]) < float(doubts[0]["prob_suggested"])
    splits = {row["path"]: row["split"] for row in table(run, "samples.csv")}
    assert doubts[0]["split"] == splits["blue/moved.jpg"]
    names = {"green/img0.jpg", "green/same bytes.jpg", "green/saved again.png"}
    (pair,) = [row for row in pairs if {row["path"], row["path_other"]} <= names]  # one of the two equal files alone
    assert "green/saved again.png" in (pair["path"], pair["path_other"])
    assert float(pair["cosine"]) > 0.999  # the same pixels
    assert pair["kind"] == ("duplicate" if pair["split"] == pair["split_other"] else "in two splits")
    page = run.report.read_text()
    assert "blue/moved.jpg: labelled blue, perhaps red" in page
    assert "near_duplicates.csv" in page


@pytest.mark.usefixtures("shared_cache")
def test_too_many_images_are_not_compared_and_the_page_says_nothing_of_them(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(second_look, "MOST_IMAGES", 29)
    run = fit(photos, Options(resolution=64, threads=2), out=tmp_path / "run")
    assert table(run, "near_duplicates.csv") == []
    assert 'id="copies"' not in run.report.read_text()
    assert 'id="labels"' in run.report.read_text()


@pytest.mark.usefixtures("shared_cache")
def test_images_that_a_manifest_names_are_shown_as_well(spoilt: Path, tmp_path: Path) -> None:
    rows = [f"{path.relative_to(tmp_path).as_posix()},{path.parent.name}\n" for path in sorted(spoilt.rglob("*.*"))]
    (tmp_path / "list.csv").write_text("".join(["path,label\n", *rows]))
    run = fit(tmp_path / "list.csv", Options(resolution=64, threads=2), out=tmp_path / "run")
    assert table(run, "doubts.csv")[0]["path"] == "photos/blue/moved.jpg"
    page = run.report.read_text()
    for words in ("photos/blue/moved.jpg: labelled blue, perhaps red", "photos/green/saved again.png"):
        assert 'src="data:image/jpeg;base64,' in page.partition(f'alt="{words}')[0].rpartition("<img")[2]
    assert "no picture" not in page


@pytest.mark.usefixtures("shared_cache")
def test_the_features_are_found_beside_a_candidate_that_keeps_pixels_and_whole_images(
    spoilt: Path, tmp_path: Path
) -> None:
    alone = fit(spoilt, Options(resolution=64, threads=2), out=tmp_path / "alone")
    both = Options(network=("lenet5", "efficientnet_lite0"), resolution=64, epochs=1, threads=2)
    run = fit(spoilt, both, out=tmp_path / "both")
    assert len(TrainedCandidate(FromScratch("lenet5", both), both).jobs(list_folder(spoilt))) == 2
    for name in ("doubts.csv", "near_duplicates.csv"):
        assert table(run, name) == table(alone, name) != []


def test_a_run_without_features_has_no_second_look(lenet_run: Run) -> None:
    page = lenet_run.report.read_text()
    assert 'id="labels"' not in page
    assert 'id="copies"' not in page


def test_the_kind_of_a_pair_is_what_weighs_most() -> None:
    one = Sample("a.jpg", "ants", "train")
    assert kind_of(one, one) == "duplicate"
    assert kind_of(one, replace(one, split="test")) == "in two splits"
    assert kind_of(one, replace(one, split="test", label="bees")) == "in two classes"

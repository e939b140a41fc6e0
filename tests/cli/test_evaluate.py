"""`convwise evaluate` as a user sees it: the table of what averaging gains, and data that say little."""

import json
import shutil
from pathlib import Path

from .harness import Convwise, write_folder, write_photos
from .test_output import check_result


def test_views_are_shown_with_their_price(convwise: Convwise, photos: Path, run: Path) -> None:
    text = convwise("evaluate", run, photos, "--views", "10", "--quiet").ends(0).out
    (line,) = (line for line in text.splitlines() if line.startswith("  A, 10 views  "))
    assert "x 10" in line
    assert " to " in line
    (words,) = (line for line in text.splitlines() if line.startswith("  A, 10 views: "))
    assert "worth it" in words
    assert f"  A  {run}" in text
    found = check_result(convwise("evaluate", run, photos, "--views", "10", "--json", "--quiet"))
    plain, viewed = found["rows"]
    assert (plain["views"], viewed["views"], viewed["kind"]) == (None, "10", "views")
    assert (plain["top1"], plain["macs"], plain["latency_ms"]) == (found["top1"], found["macs"], found["latency_ms"])
    assert viewed["times_macs"] == 10
    assert viewed["change"] == viewed["top1"] - plain["top1"]
    assert plain["change"] is None


def test_the_temperature_and_the_calibration_error_are_told(convwise: Convwise, photos: Path, run: Path) -> None:
    found = check_result(convwise("evaluate", run, photos, "--json", "--quiet"))
    measured = json.loads((run / "metrics.json").read_text())["calibration"]
    assert found["temperature"] == measured["temperature"]
    assert abs(found["ece"] - measured["ece"]) < 1e-5
    assert "  calibration error  " in convwise("evaluate", run, photos, "--quiet").ends(0).out


def test_three_images_and_a_missing_class_are_said_to_say_little(convwise: Convwise, run: Path, tmp_path: Path) -> None:
    write_photos(tmp_path / "new" / "disc", 0, 3, first=50)
    found = convwise("evaluate", run, "new", "--views", "flip", "--quiet").ends(0).out
    assert "  few images         one more or less right moves top-1 by 33.3 points" in found
    assert "  not measured       1 class without an image here, the first 'stripes'" in found
    assert "not worth it" in found
    record = check_result(convwise("evaluate", run, "new", "--json", "--quiet"))
    assert record["top1_high"] - record["top1_low"] > 0.5


def test_copies_of_one_image_are_said_to_be_no_evidence(convwise: Convwise, run: Path, tmp_path: Path) -> None:
    (path,) = write_photos(tmp_path / "new" / "disc", 0, 1, first=60)
    for i in range(200):
        shutil.copy(path, path.with_name(f"copy{i}.jpg"))
    found = convwise("evaluate", run, "new", "--quiet").ends(0).out
    assert "caution            only 1 of the files differ: the intervals take copies for images of their own" in found
    assert "few images" in found


def test_classifiers_of_other_classes_are_refused_in_one_line(convwise: Convwise, photos: Path, run: Path) -> None:
    other = write_folder(convwise.cwd / "other", ("disc", "dots"))
    convwise.fit(other, "second").ends(0)
    found = convwise("evaluate", run, photos, "--with", "second").ends(3)
    assert found.message == (
        f"classifiers '{run}' and 'second' have different classes and cannot be averaged: "
        f"'stripes' only '{run}' knows; 'dots' only 'second' knows; give classifiers of the same classes"
    )


def test_a_test_split_of_three_or_of_copies_is_a_run_that_says_so(convwise: Convwise, tmp_path: Path) -> None:
    data = tmp_path / "data"
    write_folder(data / "train", count=8)
    write_photos(data / "test" / "disc", 0, 3, first=70)  # no image of the other class
    found = convwise.fit(data, "three").ends(0).json
    assert (found["n"], found["split"]) == (3, "test")
    assert found["top1_high"] - found["top1_low"] > 0.5
    page = (tmp_path / "three" / "report.html").read_text()
    assert "Few images." in page
    assert "without an image to measure on" in " ".join(found["notes"])
    for name in ("71.jpg", "72.jpg"):
        shutil.copy(data / "test" / "disc" / "70.jpg", data / "test" / "disc" / name)
    found = convwise.fit(data, "copies").ends(0).json
    assert (
        "the 3 measured images are only 1 different file: the intervals take copies for images of their own"
        in (found["notes"])
    )

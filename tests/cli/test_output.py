"""What goes where: one JSON object on stdout, progress on stderr, and streams that fail or are closed."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from .harness import Convwise, Done, finish, in_child

KEYS = {"top1", "top1_low", "top1_high", "n", "split", "macs", "params", "latency_ms", "seconds", "path"}
needs_dev_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")


def refuse(text: str) -> Any:
    """NaN and Infinity are not JSON."""
    raise AssertionError(text)


def check_result(found: Done) -> dict[str, Any]:
    """One strict JSON object, with the ten keys in their types and nothing on stderr."""
    found.ends(0)
    assert found.err == ""
    record: dict[str, Any] = json.loads(found.out, parse_constant=refuse)
    assert record.keys() >= KEYS
    assert 0 <= record["top1_low"] <= record["top1"] <= record["top1_high"] <= 1
    assert isinstance(record["n"], int)
    assert isinstance(record["macs"], int)
    assert isinstance(record["params"], int)
    assert record["latency_ms"] > 0
    assert record["seconds"] > 0
    return record


def test_fit_and_evaluate_print_the_same_ten_figures(convwise: Convwise, photos: Path, tmp_path: Path) -> None:
    fitted = check_result(convwise.fit(photos, "out"))
    assert (fitted["split"], fitted["path"]) == ("test", "out")
    kept = json.loads((tmp_path / "out" / "run.json").read_text())["result"]
    assert kept == fitted
    evaluated = check_result(convwise("evaluate", "out", photos, "--json", "--quiet"))
    assert evaluated["path"] == "out"
    for key in ("top1", "top1_low", "top1_high", "n", "split", "macs", "params"):
        assert evaluated[key] == fitted[key], key
    assert evaluated["trained_on"] == 0


def test_evaluate_compares_two_classifiers_on_the_same_images(convwise: Convwise, photos: Path, run: Path) -> None:
    found = check_result(convwise("evaluate", run, photos, "--with", run, "--json", "--quiet"))
    first, second, together = found["rows"]
    assert second.keys() == first.keys() >= KEYS - {"split", "seconds", "path"}
    assert second["change"] == second["paired"]["difference"] == 0
    assert second["paired"]["p_value"] == 1
    assert together["members"] == [str(run), str(run)]
    assert together["macs"] == 2 * found["macs"] == 2 * first["macs"]
    text = convwise("evaluate", run, photos, "--with", run).ends(0).out
    assert f"  A  {run}\n  B  {run}  (the same classifier as A)\n" in text
    assert "B: right on the same images; it takes" in text
    assert "A + B: not worth it: right on the same images as A alone, for" in text
    assert "does not exist" in convwise("evaluate", run, photos, "--with", "absent").ends(3).message


def test_evaluate_says_how_many_images_were_trained_on(convwise: Convwise, photos: Path, run: Path) -> None:
    found = check_result(convwise("evaluate", run, photos, "--split", "all", "--json", "--quiet"))
    assert found["n"] == 20
    assert 10 < found["trained_on"] < 20
    assert "caution" in convwise("evaluate", run, photos, "--split", "train").ends(0).out


def test_progress_goes_to_stderr_and_the_result_to_stdout(graphs_only: Convwise, photos: Path, tmp_path: Path) -> None:
    found = graphs_only("fit", photos, "--out", "out").ends(0)
    assert found.err == "features at 224 px (102.4 kB to cache): 20\n"
    assert "images right, split `test`, which chose nothing" in found.out
    assert "report   out/report.html" in found.out
    assert (tmp_path / "out" / "report.html").exists()
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "run.json", "classifier", "samples.csv", "metrics.json", "history.csv", "per_class.csv", "confusion.csv",
        "predictions.csv", "doubts.csv", "near_duplicates.csv", "report.html",
    }  # fmt: skip


@pytest.mark.parametrize(
    "command", ["predict RUN MANY", "predict RUN MANY --json", "--help", "scan PHOTOS", "fit PHOTOS"]
)
def test_a_reader_that_goes_away_causes_no_traceback(
    convwise: Convwise, run: Path, photos: Path, many_photos: Path, command: str
) -> None:
    names = {"RUN": run, "PHOTOS": photos, "MANY": many_photos / "disc"}
    process = convwise.start(*(names.get(word, word) for word in command.split()))
    assert process.stdout is not None
    process.stdout.read(1)
    process.stdout.close()
    process.stdout = None
    found = finish(process)
    assert "Traceback" not in found.err
    assert "Exception" not in found.err


@needs_dev_full
@pytest.mark.parametrize(
    "command", ["predict RUN PHOTOS", "predict RUN PHOTOS --json", "scan PHOTOS --json", "fit PHOTOS", "--help"]
)
def test_a_result_that_cannot_be_written_is_said_in_one_line(
    convwise: Convwise, run: Path, photos: Path, command: str
) -> None:
    names = {"RUN": run, "PHOTOS": photos}
    with open("/dev/full", "wb") as full:
        found = convwise(*(names.get(word, word) for word in command.split()), stdout=full).ends(6)
    assert "No space left on device" in found.message


@needs_dev_full
def test_a_table_that_cannot_be_written_is_said_in_one_line(convwise: Convwise, run: Path, photos: Path) -> None:
    found = convwise("predict", run, photos, "--csv", "/dev/full").ends_somehow(2, 6)
    assert "No space left on device" in found.message
    found = convwise("scan", photos, "--csv", "/dev/full").ends_somehow(2, 6)
    assert "No space left on device" in found.message


@pytest.mark.parametrize("command", ["predict RUN PHOTO", "evaluate RUN PHOTOS", "fit PHOTOS --out out", "--help"])
def test_streams_that_are_closed_cause_no_error(convwise: Convwise, run: Path, photos: Path, command: str) -> None:
    names = {"RUN": run, "PHOTOS": photos, "PHOTO": photos / "disc" / "0.jpg"}
    code = in_child("import sys; sys.stdout = sys.stderr = None")  # what Python does where they are closed
    convwise.python("-c", code, *(names.get(word, word) for word in command.split())).ends_somehow(0)


@pytest.mark.skipif(sys.platform == "darwin", reason="this file system takes no such name")
def test_names_that_the_terminal_cannot_show_are_escaped(
    convwise: Convwise, run: Path, photos: Path, tmp_path: Path
) -> None:
    western = Convwise(tmp_path, convwise.cache, {"PYTHONIOENCODING": "cp1252"})
    (tmp_path / "狗").symlink_to(photos)
    assert "\\u72d7" in western("predict", run, "狗").ends(0).out
    assert "\\u732b" in western("fit", "狗", "--out", "猫").ends(0).out
    assert "\\u9ce5" in western("fit", "鳥").ends(3).message

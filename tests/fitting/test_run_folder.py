"""The folder of a run: used, unfinished, finished, locked, on a failing disk."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from convwise.errors import DataError, MachineError, UsageError
from convwise.fitting import Options, Run, fit
from convwise.fitting.draft import open_draft, run_errors

QUICK = Options(network=("lenet5",), epochs=1, threads=1)
LENET_RUN = Options(network=("lenet5",), epochs=2, threads=2)  # of the fixture `lenet_run`

Copy = Callable[[str], Path]


@pytest.fixture
def copy(lenet_run: Run, in_tmp_path: Path) -> Copy:
    """Make a copy of a finished run."""
    return lambda name: Path(shutil.copytree(lenet_run.path, in_tmp_path / name))


def test_a_finished_run_is_returned_to_who_resumes(copy: Copy, photos: Path) -> None:
    path = copy("a")
    before = (path / "run.json").stat().st_mtime_ns
    found = fit(photos, LENET_RUN, out="a", resume=True)
    assert found.path == Path("a")
    assert found.record == json.loads((path / "run.json").read_text())
    assert found.result["top1"] == Run.read(path).result["top1"]
    assert (path / "run.json").stat().st_mtime_ns == before


def test_a_finished_run_of_other_options_or_data_is_not_taken_for_this_one(copy: Copy, photos: Path) -> None:
    copy("a")
    text = r"^output folder 'a' holds a run with epochs 2, now 1; give the same options to see it, --overwrite"
    with pytest.raises(UsageError, match=text):
        fit(photos, QUICK, out="a", resume=True)
    shutil.copytree(photos, "other")
    with pytest.raises(UsageError, match=r"^output folder 'a' holds a run with data '.*'; give the same options"):
        fit("other", LENET_RUN, out="a", resume=True)


def test_a_partial_folder_of_somebody_else_is_left_alone(in_tmp_path: Path, photos: Path) -> None:
    (in_tmp_path / "a.partial").mkdir()
    (in_tmp_path / "a.partial" / "diary.txt").write_text("mine")
    text = "folder 'a.partial' holds other files and no unfinished run; move it, or choose another --out"
    with pytest.raises(UsageError, match=f"^{re.escape(text)}$"):
        fit(photos, QUICK, out="a", overwrite=True)
    assert (in_tmp_path / "a.partial" / "diary.txt").read_text() == "mine"


def test_a_folder_with_some_other_run_json_is_not_replaced(in_tmp_path: Path, photos: Path) -> None:
    (in_tmp_path / "a").mkdir()
    (in_tmp_path / "a" / "run.json").write_text("{}")
    with pytest.raises(UsageError, match=r"^output folder 'a' holds other files and no run; "):
        fit(photos, QUICK, out="a", overwrite=True)
    assert (in_tmp_path / "a" / "run.json").read_text() == "{}"


def test_a_finished_run_is_no_place_for_another(copy: Copy, photos: Path) -> None:
    copy("a")
    text = (
        "output folder 'a' is already used; choose another --out, --resume to see its result, or --overwrite "
        "to replace it"
    )
    with pytest.raises(UsageError, match=f"^{re.escape(text)}$"):
        fit(photos, QUICK, out="a")


def test_another_folder_is_no_place_for_a_run(in_tmp_path: Path, photos: Path) -> None:
    (in_tmp_path / "a").mkdir()
    (in_tmp_path / "a" / "diary.txt").touch()
    text = "output folder 'a' holds other files and no run; choose another --out"
    for resume, overwrite in ((True, False), (False, True), (False, False)):
        with pytest.raises(UsageError, match=f"^{re.escape(text)}$"):
            fit(photos, QUICK, out="a", resume=resume, overwrite=overwrite)
    assert [p.name for p in (in_tmp_path / "a").iterdir()] == ["diary.txt"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_is_no_place_for_a_run(in_tmp_path: Path, photos: Path, overwrite: bool) -> None:
    (in_tmp_path / "a").write_text("mine")
    with pytest.raises(UsageError, match=r"^output folder 'a' is a file; choose another --out$"):
        fit(photos, QUICK, out="a", overwrite=overwrite)
    assert (in_tmp_path / "a").read_text() == "mine"


def test_overwrite_replaces_a_run(copy: Copy, photos: Path) -> None:
    path = copy("a")
    (path / "old.txt").touch()
    found = fit(photos, QUICK, out="a", overwrite=True, command="convwise fit")
    assert not (path / "old.txt").exists()
    assert found.record["options"]["epochs"] == 1
    assert found.record["command"] == "convwise fit"
    assert not Path("a.partial").exists()


def test_runs_are_numbered(copy: Copy, photos: Path) -> None:
    copy("runs/1")
    copy("runs/3")
    assert fit(photos, QUICK).path == Path("runs/2")
    assert fit(photos, QUICK).path == Path("runs/4")


def test_an_absolute_folder_stays_absolute(in_tmp_path: Path, photos: Path) -> None:
    run = fit(photos, QUICK, out=in_tmp_path / "deep" / "a")
    assert run.path == in_tmp_path / "deep" / "a"
    assert run.result["path"] == str(run.path)


def leave_behind(photos: Path, options: Options, out: str | None, key: str, value: Any) -> None:
    """Begin a run, note something, and be killed."""
    draft = open_draft(Path(out) if out else None, photos, options, overwrite=False, command="first")
    with suppress(KeyboardInterrupt), draft as begun:
        begun.note(key, value)
        raise KeyboardInterrupt


def unfinished(photos: Path, options: Options = QUICK, out: str | None = "a") -> None:
    """Leave a marked run behind."""
    leave_behind(photos, options, out, "marker", 5)


def test_an_unfinished_run_goes_on(in_tmp_path: Path, photos: Path) -> None:
    unfinished(photos)
    found = fit(photos, QUICK, out="a", command="second")
    assert found.record["marker"] == 5
    assert found.record["command"] == "first"
    assert sorted(p.name for p in in_tmp_path.iterdir()) == ["a"]


def test_an_unfinished_run_goes_on_without_being_named(in_tmp_path: Path, photos: Path) -> None:
    unfinished(photos, Options(network=("lenet5",), epochs=9), out=None)
    unfinished(photos, out=None)
    assert sorted(p.name for p in (in_tmp_path / "runs").iterdir()) == ["1.partial", "2.partial"]
    found = fit(photos, QUICK)
    assert found.path == Path("runs/2")
    assert found.record["marker"] == 5


def test_measured_milliseconds_are_kept(in_tmp_path: Path, photos: Path) -> None:
    del in_tmp_path
    latency = {"latency_ms": 123.0, "latency_p95_ms": 124.0, "n": 1, "threads": 1, "device": "slow"}
    leave_behind(photos, QUICK, "a", "latency", latency)
    assert fit(photos, QUICK, out="a").result["latency_ms"] == 123.0


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        (Options(network=("lenet5",), epochs=1, threads=2), "threads 1, now 2"),
        (Options(network=("lenet5",), epochs=2, threads=1), "epochs 1, now 2"),
    ],
)
def test_an_unfinished_run_of_other_options_is_left_alone(
    in_tmp_path: Path, photos: Path, options: Options, difference: str
) -> None:
    unfinished(photos)
    text = (
        f"output folder 'a' holds an unfinished run with {difference}; give the same options to go on with it, "
        "--overwrite to begin anew, or another --out"
    )
    with pytest.raises(UsageError, match=f"^{re.escape(text)}$"):
        fit(photos, options, out="a")
    assert json.loads((in_tmp_path / "a.partial" / "run.json").read_text())["marker"] == 5
    assert "marker" not in fit(photos, options, out="a", overwrite=True).record


def test_an_unfinished_run_of_other_data_is_left_alone(in_tmp_path: Path, photos: Path, split_photos: Path) -> None:
    del in_tmp_path
    unfinished(split_photos)
    start = f"output folder 'a' holds an unfinished run with data {str(split_photos)!r}; "
    with pytest.raises(UsageError, match=f"^{re.escape(start)}"):
        fit(photos, QUICK, out="a")


def test_what_an_unfinished_run_has_left_is_cleared_when_it_begins_anew(in_tmp_path: Path, photos: Path) -> None:
    unfinished(photos)
    (in_tmp_path / "a.partial" / "stray").touch()
    found = fit(photos, Options(network=("lenet5",), epochs=2, threads=1), out="a", overwrite=True)
    assert "marker" not in found.record
    assert not (found.path / "stray").exists()


def test_a_folder_that_a_kill_left_almost_empty_is_taken(in_tmp_path: Path, photos: Path) -> None:
    (in_tmp_path / "a.partial").mkdir()
    (in_tmp_path / "a.partial" / ".tmp-1").touch()
    assert fit(photos, QUICK, out="a").path == Path("a")
    assert not (in_tmp_path / "a" / ".tmp-1").exists()


def test_a_partial_folder_with_some_other_run_json_is_left_alone(in_tmp_path: Path, photos: Path) -> None:
    (in_tmp_path / "a.partial").mkdir()
    (in_tmp_path / "a.partial" / "run.json").write_text("{")
    with pytest.raises(UsageError, match=r"^folder 'a\.partial' holds other files and no unfinished run; "):
        fit(photos, QUICK, out="a", overwrite=True)
    assert (in_tmp_path / "a.partial" / "run.json").read_text() == "{"


HOLD = """
import sys
from pathlib import Path
from convwise.fitting import Options
from convwise.fitting.draft import open_draft
with open_draft(Path("a"), Path("photos"), Options(), overwrite=False, command=""):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_process_at_a_time_writes_a_run(in_tmp_path: Path, photos: Path) -> None:
    del in_tmp_path
    with subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        text = "output folder 'a' is being written by another convwise; wait, or choose another --out"
        with pytest.raises(UsageError, match=f"^{re.escape(text)}$"):
            fit(photos, QUICK, out="a", overwrite=True)
        holder.communicate()


def test_a_run_that_fails_by_its_data_leaves_nothing(in_tmp_path: Path) -> None:
    (in_tmp_path / "data" / "a").mkdir(parents=True)
    (in_tmp_path / "data" / "a" / "1.jpg").touch()
    with pytest.raises(DataError, match=r"^none of the 1 image files in 'data' can be used; "):
        fit("data", QUICK, out="a")
    assert [p.name for p in in_tmp_path.iterdir()] == ["data"]


def test_a_full_disk_keeps_what_was_begun(in_tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_aside(path: Path, data: bytes) -> None:
        if path.name == "weights.safetensors":
            raise OSError(28, "No space left on device", str(path))
        path.write_bytes(data)

    text = (
        r"^the run could not be written: '.*weights\.safetensors': No space left on device; computed features are kept"
    )
    with monkeypatch.context() as patch:
        patch.setattr("convwise.classifier.folder.write_aside", write_aside)
        with pytest.raises(MachineError, match=text):
            fit(photos, QUICK, out="a")
    assert not (in_tmp_path / "a").exists()
    assert fit(photos, QUICK, out="a").path == Path("a")


def test_overwrite_keeps_the_old_run_until_the_new_one_is_whole(
    copy: Copy, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = copy("a")

    def fails(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("convwise.fitting.write_run", fails)
    with pytest.raises(KeyboardInterrupt):
        fit(photos, QUICK, out="a", overwrite=True)
    assert Run.read(path).result["n"] > 0
    assert Run.read(path).classifier.classes == ("blue", "green", "red")


@pytest.mark.parametrize("text", [None, "", "{}", '{"result": {}}', "{"])
def test_what_is_no_finished_run_is_told(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "run.json").write_text(text)
    message = f"{str(tmp_path)!r} is not the folder of a finished run: it has no whole run.json"
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        Run.read(tmp_path)


def test_a_failing_disk_is_named() -> None:
    with pytest.raises(MachineError, match=r"^the run could not be written: odd; "), run_errors():
        raise OSError("odd")

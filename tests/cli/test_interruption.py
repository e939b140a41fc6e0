"""Ctrl-C, kill -9 and two processes at once: nothing is lost but what was in flight, and the result is the same."""

import signal
from pathlib import Path

import pytest

from .harness import Convwise, cached_rows, finish, stop_when, wait_for, weights_hash

ONE = ("--threads", 1)  # a pass that is slow enough to be met in its middle


@pytest.fixture(scope="session")
def undisturbed(many_photos: Path, run: Path, warm_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> str:  # noqa: ARG001
    """Hash of the weights that a run on `many_photos` gives that nobody disturbs."""
    folder = tmp_path_factory.mktemp("undisturbed")
    Convwise(folder, warm_cache).fit(many_photos, "run", *ONE).ends(0)
    return weights_hash(folder / "run")


def test_ctrl_c_in_the_middle_keeps_what_is_finished(
    graphs_only: Convwise, many_photos: Path, undisturbed: str, tmp_path: Path
) -> None:
    process = graphs_only.start("fit", many_photos, "--out", "run", "--quiet", *ONE)
    found = stop_when(process, lambda: bool(cached_rows(graphs_only.cache)), signal.SIGINT).ends(130)
    assert found.message == "interrupted; what was computed is kept, the same command goes on"
    assert found.err.strip().count("\n") == 0
    assert found.out == ""
    assert not (tmp_path / "run").exists()
    kept = cached_rows(graphs_only.cache)
    assert 0 < len(kept) < 400
    graphs_only.fit(many_photos, "run", *ONE).ends(0)
    assert len(cached_rows(graphs_only.cache)) == 400  # each row was computed once: what was kept was used
    assert weights_hash(tmp_path / "run") == undisturbed


def test_kill_in_the_middle_repeats_at_most_what_was_in_flight(
    graphs_only: Convwise, many_photos: Path, undisturbed: str, tmp_path: Path
) -> None:
    process = graphs_only.start("fit", many_photos, "--out", "run", *ONE)
    found = stop_when(process, lambda: bool(cached_rows(graphs_only.cache)), signal.SIGKILL)
    assert found.code == -signal.SIGKILL
    assert not (tmp_path / "run").exists()
    kept = len(cached_rows(graphs_only.cache))
    assert 0 < kept < 400
    found = graphs_only("fit", many_photos, "--out", "run", *ONE).ends(0)
    assert "features at 224 px (" in found.err
    rows = cached_rows(graphs_only.cache)
    assert len(rows) == len(set(rows)) == 400  # the second run computed 400 - kept
    assert weights_hash(tmp_path / "run") == undisturbed
    assert not list(tmp_path.glob("run.partial*"))


def test_ctrl_c_while_the_network_is_made_leaves_no_traceback(tmp_path: Path, photos: Path) -> None:
    cold = Convwise(tmp_path, tmp_path / "cache")
    process = cold.start("fit", photos, "--out", "run", "--quiet")
    found = stop_when(process, (tmp_path / "run.partial").exists, signal.SIGINT).ends(130)
    assert not (tmp_path / "run").exists()
    assert found.err.strip().count("\n") == 0


@pytest.mark.slow
def test_ctrl_c_stops_predict_and_evaluate_in_one_line(
    graphs_only: Convwise, many_photos: Path, run: Path, tmp_path: Path
) -> None:
    process = graphs_only.start("predict", run, many_photos, *ONE, "--csv", "rows.csv")
    stop_when(process, lambda: (tmp_path / "rows.csv").exists(), signal.SIGINT).ends(130)
    process = graphs_only.start("evaluate", run, many_photos, "--quiet", *ONE)
    stop_when(process, lambda: bool(cached_rows(graphs_only.cache)), signal.SIGINT).ends(130)


def test_a_warm_cache_gives_the_same_weights_as_a_cold_one(
    convwise: Convwise, photos: Path, run: Path, tmp_path: Path
) -> None:
    convwise.fit(photos, "again").ends(0)  # `run` was made with an empty cache
    assert weights_hash(tmp_path / "again") == weights_hash(run)


def test_two_runs_on_one_cold_cache_give_the_same_weights(tmp_path: Path, photos: Path, run: Path) -> None:
    cold = Convwise(tmp_path, tmp_path / "cache")
    both = [cold.start("fit", photos, "--out", name, "--json", "--quiet") for name in ("a", "b")]
    for found in [finish(process) for process in both]:
        assert found.ends(0).json["n"] > 0
        assert found.err == ""
    assert weights_hash(tmp_path / "a") == weights_hash(tmp_path / "b") == weights_hash(run)
    assert not list((tmp_path / "cache").rglob(".tmp-*"))


def test_one_of_two_runs_into_one_folder_gives_way(tmp_path: Path, photos: Path, run: Path) -> None:
    cold = Convwise(tmp_path, tmp_path / "cache")
    first = cold.start("fit", photos, "--out", "out", "--json", "--quiet")
    wait_for(first, (tmp_path / "out.partial" / "run.json").exists)
    found = cold.fit(photos, "out").ends(2)
    assert found.message == "output folder 'out' is being written by another convwise; wait, or choose another --out"
    finish(first).ends(0)
    assert weights_hash(tmp_path / "out") == weights_hash(run)


@pytest.mark.slow
def test_a_folder_that_appears_meanwhile_is_not_touched(
    graphs_only: Convwise, many_photos: Path, tmp_path: Path
) -> None:
    process = graphs_only.start("fit", many_photos, "--out", "out", "--json", "--quiet")
    wait_for(process, (tmp_path / "out.partial" / "run.json").exists)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "letter.txt").write_text("dear")
    finish(process).ends_somehow(2, 6)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["letter.txt"]


@pytest.mark.slow
def test_an_unfinished_run_of_other_options_is_not_continued(
    graphs_only: Convwise, photos: Path, many_photos: Path, tmp_path: Path
) -> None:
    process = graphs_only.start("fit", many_photos, "--out", "out", "--quiet")
    stop_when(process, (tmp_path / "out.partial" / "run.json").exists, signal.SIGKILL)
    found = graphs_only.fit(many_photos, "out", "--seed", "1").ends(2)
    assert found.message.startswith("output folder 'out' holds an unfinished run with seed 0, now 1; give the same")
    assert "holds an unfinished run with data " in graphs_only.fit(photos, "out").ends(2).message
    graphs_only.fit(photos, "out", "--seed", "1", "--overwrite").ends(0)
    assert not list(tmp_path.glob("out.partial*"))


def test_runs_without_out_take_the_next_number(convwise: Convwise, photos: Path, tmp_path: Path) -> None:
    both = [convwise.start("fit", photos, "--json", "--quiet") for _ in range(2)]
    assert sorted(finish(process).ends(0).json["path"] for process in both) == ["runs/1", "runs/2"]
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["1", "2"]

"""The ladder: which rungs are tried, and what is said of them. The candidates here fit nothing."""

import csv
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from convwise import machine
from convwise.cli.fit import ladder_lines
from convwise.errors import DivergedError, MachineError, NoCacheRoomError, NoMachineRoomError, UsageError
from convwise.fitting import Options, Run, candidates, fit
from convwise.fitting.climb import Fit, fit_all
from convwise.fitting.draft import Draft
from convwise.fitting.task import Candidate, Fitted, Task
from convwise.fitting.trained_candidate import TrainedCandidate
from convwise.metrics import Paired, compare
from convwise.progress import silent

LABELS = np.array([0] * 10 + [1] * 10)
HELD_OUT = "(one standard error, on 20 images held out)"


@dataclass
class Rung:
    """A candidate that gets the first `right` of 20 images right, or diverges."""

    transfer: str
    right: int
    network: str = "efficientnet_lite0"
    diverges: bool = False
    refused: Exception | None = None
    limits: list[float] = field(default_factory=list)

    def within(self, seconds: float) -> "Rung":
        self.limits.append(seconds)
        return self

    def fit(self, *_: Any, **__: Any) -> Fitted:
        if self.refused:
            raise self.refused
        if self.diverges:
            raise DivergedError(f"{self.network}: training diverged")
        answers = np.where(np.arange(20) < self.right, LABELS, 1 - LABELS)
        return cast(
            "Fitted", SimpleNamespace(choice_probs=np.eye(2, dtype=np.float32)[answers], transfer=self.transfer)
        )


def climbed(rungs: Sequence[Rung], tmp_path: Path, options: Options | None = None) -> tuple[list[Fit], list[str]]:
    task = cast("Task", SimpleNamespace(labels=LABELS, compare=np.ones(20, bool), chooses_epochs=True))
    draft = Draft(tmp_path / "run")
    draft.begin({})
    try:
        given = cast("Sequence[Candidate]", rungs)
        return fit_all(given, [[]] * len(rungs), task, draft, options or Options(transfer="auto"), track=silent)
    finally:
        draft.release()


def names(fits: Sequence[Fit]) -> list[str]:
    return [f.candidate.transfer for f in fits]


def test_the_next_rung_is_tried_while_the_last_one_gained_more_than_its_noise(tmp_path: Path) -> None:
    fits, notes = climbed([Rung("head", 12), Rung("partial", 17), Rung("full", 18)], tmp_path)
    assert names(fits) == ["head", "partial", "full"]
    assert [f.gain and f.gain.difference for f in fits] == [None, 0.25, pytest.approx(0.05)]
    assert [f.ended for f in fits] == ["", "", "it is the highest rung"]
    assert notes == []


def test_a_gain_within_its_noise_ends_the_climb(tmp_path: Path) -> None:
    fits, _ = climbed([Rung("head", 17), Rung("partial", 18), Rung("full", 20)], tmp_path)
    assert names(fits) == ["head", "partial"]
    # one image of 20, one added to each side: sqrt((2 / 22 + 1 / 22 - (1 / 22)^2) / 22) = 7.8 points
    assert fits[1].ended == f"it gained 5.0 points over the rung below, no more than their noise of 7.8 {HELD_OUT}"


def test_a_rung_that_is_no_better_ends_the_climb_and_says_by_how_much(tmp_path: Path) -> None:
    fits, _ = climbed([Rung("head", 17), Rung("partial", 15), Rung("full", 20)], tmp_path)
    assert names(fits) == ["head", "partial"]
    assert fits[0].ended == ""
    assert fits[1].ended == f"it was no better than the rung below: -10.0 points, with a noise of 8.9 {HELD_OUT}"


def test_the_noise_of_a_gain_is_that_of_the_images_that_differ() -> None:
    right, below = np.arange(100) < 60, np.arange(100) >= 45  # 45 alone right, 40 alone right
    assert compare(right, below).noise == pytest.approx(math.sqrt((46 / 102 + 41 / 102 - (5 / 102) ** 2) / 102))


def test_what_does_not_differ_at_all_ends_the_climb(tmp_path: Path) -> None:
    fits, _ = climbed([Rung("head", 20), Rung("partial", 20), Rung("full", 20)], tmp_path)
    assert names(fits) == ["head", "partial"]
    assert fits[1].ended == f"it was no better than the rung below: 0.0 points, with a noise of 6.4 {HELD_OUT}"


def test_each_network_climbs_for_itself_and_one_rung_is_no_ladder(tmp_path: Path) -> None:
    fits, _ = climbed(
        [Rung("head", 12), Rung("partial", 11), Rung("full", 20), Rung("none", 5, network="lenet5")], tmp_path
    )
    assert [(f.candidate.network, f.candidate.transfer) for f in fits] == [
        ("efficientnet_lite0", "head"), ("efficientnet_lite0", "partial"), ("lenet5", "none"),
    ]  # fmt: skip
    assert fits[2].ended == ""
    assert fits[2].gain is None


def test_a_rung_that_diverges_ends_the_climb_with_a_note(tmp_path: Path) -> None:
    fits, notes = climbed([Rung("head", 12), Rung("partial", 17, diverges=True), Rung("full", 18)], tmp_path)
    assert names(fits) == ["head"]
    assert fits[0].ended == "the rung above it, partial, diverged"
    assert notes == ["efficientnet_lite0: training diverged; it is not compared"]


@pytest.mark.parametrize("kind", [NoCacheRoomError, NoMachineRoomError])
def test_a_rung_without_room_ends_the_climb_and_what_is_below_it_counts(tmp_path: Path, kind: type[Exception]) -> None:
    no_room = kind("there is no room")
    fits, notes = climbed([Rung("head", 12), Rung("partial", 17, refused=no_room), Rung("full", 18)], tmp_path)
    assert names(fits) == ["head"]
    assert fits[0].ended == "the rung above it, partial, cannot be had: there is no room"
    assert notes == []
    with pytest.raises(kind, match=r"^there is no room$"):
        climbed([Rung("head", 12, refused=no_room)], tmp_path / "other")


@pytest.mark.parametrize("error", [UsageError("batch norm learns from two"), MachineError("the disk gave out")])
def test_whatever_else_a_rung_above_raises_ends_the_run(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error), match=f"^{error}$"):
        climbed([Rung("head", 12), Rung("partial", 17, refused=error)], tmp_path)


def test_where_all_diverge_that_is_the_error(tmp_path: Path) -> None:
    with pytest.raises(DivergedError, match=r"^efficientnet_lite0: training diverged$"):
        climbed([Rung("head", 12, diverges=True)], tmp_path)


def test_a_rung_for_which_there_is_no_memory_is_said_where_the_climb_ends(tmp_path: Path) -> None:
    fits, _ = climbed([Rung("head", 12), Rung("partial", 17)], tmp_path)
    assert [f.ended for f in fits] == ["", "there is not the memory for the rung above it, full"]


def test_a_time_limit_is_shared_by_the_rungs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 10.0, 70.0])
    monkeypatch.setattr("convwise.fitting.climb.time.monotonic", lambda: next(clock))
    rungs = [Rung("head", 5), Rung("partial", 15), Rung("full", 20)]
    fits, _ = climbed(rungs, tmp_path, Options(transfer="auto", time_limit=60))
    assert names(fits) == ["head", "partial"]
    assert rungs[1].limits == [50.0]
    assert fits[1].ended == "the time limit of 60 s is over"


def test_a_resumed_climb_has_the_times_that_it_had(tmp_path: Path) -> None:
    draft = Draft(tmp_path / "run")
    draft.begin({})
    draft.note("rung_seconds", {"efficientnet_lite0-partial": 42.0, "efficientnet_lite0-full": 0.0})
    rungs = [Rung("head", 5), Rung("partial", 15), Rung("full", 20)]
    task = cast("Task", SimpleNamespace(labels=LABELS, compare=np.ones(20, bool), chooses_epochs=True))
    options = Options(transfer="auto", time_limit=60)
    fits, _ = fit_all(cast("Sequence[Candidate]", rungs), [[]] * 3, task, draft, options, track=silent)
    draft.release()
    assert rungs[1].limits == [42.0]
    assert names(fits) == ["head", "partial"]


@pytest.fixture(scope="module")
def auto_run(tmp_path_factory: pytest.TempPathFactory, session_cache: Path, photos: Path) -> Run:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONVWISE_CACHE", str(session_cache))
        out = tmp_path_factory.mktemp("runs") / "auto"
        return fit(photos, Options(transfer="auto", resolution=64, epochs=2, threads=2), out=out)


def test_a_run_tells_its_ladder(auto_run: Run) -> None:
    rungs = auto_run.result["ladder"]
    assert [rung["transfer"] for rung in rungs][:2] == ["head", "partial"]
    assert [rung["gain"] is None for rung in rungs] == [True] + [False] * (len(rungs) - 1)
    assert [bool(rung["ended"]) for rung in rungs] == [False] * (len(rungs) - 1) + [True]
    assert sum(rung["chosen"] for rung in rungs) == 1
    for rung in rungs:  # what is told of the parts is the whole network
        assert sum(part["params"] for part in rung["parts"]) == auto_run.result["params"]
        assert sum(part["macs"] for part in rung["parts"]) == auto_run.result["macs"]
        frozen = sum(part["macs"] for part in rung["parts"] if part["state"] == "frozen")
        assert rung["macs_trained"] == auto_run.result["macs"] - frozen
    assert rungs[0]["macs_trained"] == 1280 * 3  # the softmax layer
    assert {rung["choice_n"] for rung in rungs} == {3}  # a tenth of 24, one of each class at least
    said = ladder_lines(rungs)[0]
    assert re.search(r"^  rung     head     .* % \(95 % interval .*\) of 3 held out, ", said)
    assert auto_run.result["transfer"] == "head"  # three images tell nothing beyond their noise
    assert not any("epoch was chosen" in note for note in auto_run.result["notes"])  # of an epoch that is not kept
    page = auto_run.report.read_text()
    assert "Gain over the rung below" in page
    assert "The climb of <bdi>efficientnet_lite0</bdi> ended with" in page
    assert "What was trained" in page


def test_the_parts_of_the_second_rung_are_frozen_trained_and_new(auto_run: Run) -> None:
    parts = auto_run.result["ladder"][1]["parts"]
    states = [(part["stage"], part["state"]) for part in parts]
    assert states == [
        ("stem", "frozen"), *((f"stage{i}", "frozen") for i in range(1, 5)),
        *((f"stage{i}", "trained") for i in range(5, 9)), ("head", "new"),
    ]  # fmt: skip
    assert parts[-1]["params"] == 1281 * 3
    assert [part["blocks"] for part in parts[1:9]] == [1, 2, 2, 3, 3, 4, 1, 1]  # Lite0's table


def test_a_repeated_climb_ends_in_the_same_weights(
    auto_run: Run, photos: Path, tmp_path: Path, shared_cache: Path
) -> None:
    again = fit(photos, Options(transfer="auto", resolution=64, epochs=2, threads=2), out=tmp_path / "again")
    hashes = [json.loads((r.path / "classifier" / "classifier.json").read_text())["sha256"] for r in (auto_run, again)]
    assert hashes[0]["weights.safetensors"] == hashes[1]["weights.safetensors"]
    assert shared_cache.is_dir()


def only_partial_is_too_large(candidate: TrainedCandidate, images: int, num_classes: int) -> None:  # noqa: ARG001
    if candidate.transfer == "partial":
        raise MachineError("too little")


def test_a_rung_without_memory_is_left_out_and_the_first_is_an_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, shared_cache: Path
) -> None:
    monkeypatch.setattr(machine, "machine_memory", lambda: 120_000_000)
    options = Options(transfer="auto", resolution=64)
    left = candidates.make_candidates(options, 30, 3)
    assert [c.transfer for c in left] == ["head", "partial"]
    assert (
        "efficientnet_lite0: transfer full is left out: training efficientnet_lite0 at 64 px needs about" in caplog.text
    )
    monkeypatch.setattr(TrainedCandidate, "check_memory", only_partial_is_too_large)
    assert [c.transfer for c in candidates.make_candidates(options, 30, 3)] == [
        "head"
    ]  # full is not tried past partial
    monkeypatch.undo()
    monkeypatch.setattr(machine, "machine_memory", lambda: 120_000_000)
    with pytest.raises(MachineError, match=r"^training efficientnet_lite0 at 64 px needs about"):
        candidates.make_candidates(replace(options, transfer="full"), 30, 3)
    assert shared_cache.is_dir()


def not_worse(run: Run, others: Sequence[Run]) -> None:
    """By the paired test on the measured images, at the usual 5 %."""

    def right(one: Run) -> Any:
        with (one.path / "predictions.csv").open(newline="", encoding="utf-8") as file:
            rows = sorted(csv.DictReader(file), key=lambda row: row["path"])
        return np.array([row["true"] == row["label"] for row in rows])

    best = max(others, key=lambda other: other.result["top1"])
    paired: Paired = compare(right(run), right(best))
    assert paired.difference >= 0 or paired.p_value > 0.05, (run.result["top1"], best.result["top1"], paired)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "resolution"), [("ants_bees", 112), ("digits", 64), ("cifar10_2000", 96), ("cifar10_20000", 96)]
)
def test_auto_is_not_worse_than_the_best_rung(
    data: str, resolution: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The last one takes more than an hour on two cores."""
    folder = cast("Path", request.getfixturevalue(data))
    options = Options(transfer="auto", resolution=resolution, threads=2)
    auto = fit(folder, options, out=tmp_path / "auto")
    not_worse(auto, [fit(folder, replace(options, transfer=t), out=tmp_path / t) for t in ("head", "partial", "full")])

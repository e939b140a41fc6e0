"""A run of several seeds: each member is a classifier of its own, and the prices are those of plain averages."""

import json
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import numpy as np
import pytest

from convwise.classifier import Classifier, load
from convwise.data.samples import list_folder
from convwise.errors import DataError, DivergedError, MachineError, UsageError
from convwise.evaluation import evaluate, with_members
from convwise.fitting import Options, Run, fit
from convwise.fitting.from_scratch import FromScratch
from convwise.fitting.trained_candidate import TrainedCandidate
from convwise.fitting.training_run import TrainingRun
from convwise.metrics import compare, wilson

T = TypeVar("T")


def options(**changes: Any) -> Options:
    return Options(**{"network": ("lenet5",), "epochs": 2, "threads": 1, "members": 3, **changes})


@pytest.fixture(scope="session")
def ensemble(tmp_path_factory: pytest.TempPathFactory, session_cache: Path, photos: Path) -> Run:
    """Three seeds of LeNet-5; nobody writes into it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONVWISE_CACHE", str(session_cache))
        return fit(photos, options(), out=tmp_path_factory.mktemp("ensemble") / "run")


def members(run: Run) -> list[Classifier]:
    return [named.classifier for named in with_members(run.path)]


def hashes(run: Run) -> list[str]:
    return [member.sha256["weights.safetensors"] for member in members(run)]


def test_each_member_is_the_classifier_that_its_seed_gives_alone(
    in_tmp_path: Path, ensemble: Run, photos: Path
) -> None:
    assert sorted(p.name for p in (ensemble.path / "members").iterdir()) == ["2", "3"]
    found = members(ensemble)
    assert len(set(hashes(ensemble))) == 3
    for seed, member in enumerate(found):
        alone = fit(photos, options(members=None, seed=seed), out=in_tmp_path / str(seed)).classifier
        assert alone.sha256 == dict(member.sha256) | {"classifier.json": alone.sha256["classifier.json"]}
        assert (alone.temperature, alone.classes) == (member.temperature, member.classes)
        assert alone.provenance == member.provenance
    assert load(ensemble.path).folder == found[0].folder == ensemble.path / "classifier"


def test_the_prices_are_those_of_plain_averages(ensemble: Run, photos: Path) -> None:
    alone = [evaluate(member, list_folder(photos), threads=1) for member in members(ensemble)]
    rows = json.loads((ensemble.path / "metrics.json").read_text())["members"]
    names = ["classifier", "members/2", "members/3"]
    assert rows == ensemble.result["members"]
    assert [row["members"] for row in rows] == [names[:1], names[1:2], names[2:], names[:2], names]
    for row, numbers in zip(rows, ([0], [1], [2], [0, 1], [0, 1, 2]), strict=True):
        probs = np.mean([alone[i].probs for i in numbers], axis=0, dtype=np.float64)
        right = probs.argmax(axis=1) == alone[0].labels
        top1 = wilson(int(right.sum()), len(right))
        assert (row["top1"], row["top1_low"], row["top1_high"]) == pytest.approx(top1)
        if numbers != [0]:
            paired = compare(right, alone[0].correct)
            assert (row["change"], row["change_low"], row["change_high"]) == pytest.approx(paired[:3])
        assert row["times_macs"] == len(numbers)
    assert rows[0]["top1"] == ensemble.result["top1"]
    assert ensemble.result["n"] == len(alone[0].labels)


def test_the_page_shows_what_each_number_of_members_gains(ensemble: Run) -> None:
    page = ensemble.report.read_text()
    section = page.partition('<section id="members">')[2].partition("</section>")[0]
    assert re.findall(r'<th scope="row"><bdi>([A-C +]+)</bdi>', section) == ["A", "A + B", "A + B + C"]
    assert "B is in <code><bdi>members/2</bdi></code>" in section
    assert re.findall(r'<td class="number">x\u00a0([123])</td><td', section) == ["1", "2", "3"]  # times the MACs
    alone, *averages = (row for row in ensemble.result["members"] if row["name"].startswith("classifier"))
    assert re.findall(r"<br><small>(.*?)</small></th>", section) == [words(row) for row in averages]
    figures = [f"{100 * row['top1']:.1f}" for row in (alone, *averages)]
    assert re.findall(r'</th>\s*<td class="number">([\d.]+)&nbsp;%', section) == figures
    changes = [f"{100 * row['change']:+.1f}".replace("-", "\u2212") for row in averages]
    assert re.findall(r'<td class="number">([+\u2212][\d.]+)<small>', section) == changes


def words(row: dict[str, Any]) -> str:
    """What the page says of an average; so few images tell a difference only where nearly all are on one side."""
    found, times = row["paired"], f"{row['times_latency']:.2g} times the time"
    assert found["p_value"] > 0.05
    if found["a_only"] == found["b_only"] == 0:
        return f"not worth it: right on the same images as A alone, for {times}"
    return f"not worth it on this evidence: too few images to tell it from A alone, for {times}"


def test_members_are_the_same_where_whatever_stands_in_between_is_interrupted(
    in_tmp_path: Path, ensemble: Run, photos: Path
) -> None:
    del in_tmp_path
    seen: list[str] = []

    def stop(at: str, steps: int) -> Any:
        def track(items: Iterable[T], total: int, what: str) -> Iterable[T]:  # noqa: ARG001
            seen.append(what)
            for done, item in enumerate(items):
                if at in what and done == steps:
                    raise KeyboardInterrupt
                yield item

        return track

    for at, steps in (("steps of lenet5", 1), ("steps of member 2 of lenet5", 0), ("steps of member 3 of lenet5", 1),
                      ("images", 0)):  # fmt: skip
        with pytest.raises(KeyboardInterrupt):
            fit(photos, options(), out="run", track=stop(at, steps))
        assert not Path("run").exists()
    run = fit(photos, options(), out="run")
    assert hashes(run) == hashes(ensemble)
    assert [m.temperature for m in members(run)] == [m.temperature for m in members(ensemble)]
    assert not (run.path / "checkpoints").exists()
    assert sorted({what.partition(" (")[0] for what in seen if what.startswith("steps")}) == [
        "steps of lenet5", "steps of member 2 of lenet5", "steps of member 3 of lenet5",
    ]  # fmt: skip


def test_a_disk_that_gives_out_while_the_page_is_written_costs_no_step_of_training(
    in_tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> NoReturn:
        raise OSError(28, "No space left on device", "report.html")

    steps: list[str] = []

    def count(items: Iterable[T], total: int, what: str) -> Iterable[T]:  # noqa: ARG001
        for item in items:
            if what.startswith("steps"):
                steps.append(what)
            yield item

    given = options(members=2)
    with monkeypatch.context() as patch:
        patch.setattr("convwise.fitting.write_run", full)
        with pytest.raises(MachineError, match=r"^the run could not be written: 'report\.html': No space left"):
            fit(photos, given, out="run", track=count)
    assert len({what.partition(" (")[0] for what in steps}) == 2
    before = {p.parent.name: (p.parent / "weights.safetensors").read_bytes()
              for p in (in_tmp_path / "run.partial").rglob("weights.safetensors")}  # fmt: skip
    steps.clear()
    run = fit(photos, given, out="run", track=count)
    assert steps == []
    after = [(c.folder / "weights.safetensors").read_bytes() for c in members(run)]
    assert after == [before["classifier"], before["2"]]
    assert not (run.path / "checkpoints").exists()


@pytest.mark.parametrize(
    ("writer", "name"),
    [("convwise.classifier.folder.write_aside", "members/2/weights.safetensors"),
     ("convwise.fitting.draft.write_aside", "run.json")],
)  # fmt: skip
def test_a_disk_that_is_full_while_a_member_or_a_note_is_saved_is_told_in_one_line(
    in_tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch, writer: str, name: str
) -> None:
    def write_aside(path: Path, data: bytes) -> None:
        if path.as_posix().endswith(name) and (name != "run.json" or b'"chosen"' in data):
            raise OSError(28, "No space left on device", str(path))
        path.write_bytes(data)

    with monkeypatch.context() as patch:
        patch.setattr(writer, write_aside)
        text = rf"^the run could not be written: '.*{Path(name).name}': No space left on device; computed features are"
        with pytest.raises(MachineError, match=text):
            fit(photos, options(members=2), out="run")
    assert list((in_tmp_path / "run.partial" / "checkpoints" / "lenet5").iterdir())
    assert len(members(fit(photos, options(members=2), out="run"))) == 2


def test_a_member_that_diverges_is_left_out_and_named(
    in_tmp_path: Path, ensemble: Run, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del in_tmp_path
    train = TrainingRun.run

    def diverging(self: TrainingRun, *args: Any, **kwargs: Any) -> Any:
        if self.number == 2:
            raise DivergedError("training diverged in epoch 1: the loss is nan")
        return train(self, *args, **kwargs)

    monkeypatch.setattr(TrainingRun, "run", diverging)
    run = fit(photos, options(), out="run")
    note = "member 2 of lenet5: training diverged in epoch 1: the loss is nan; left out"
    assert note in run.result["notes"]
    assert hashes(run) == [hashes(ensemble)[0], hashes(ensemble)[2]]
    assert [row["members"] for row in run.result["members"]][-1] == ["classifier", "members/3"]


def test_members_of_whom_the_same_is_to_be_said_share_a_note(
    in_tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del in_tmp_path
    train = TrainingRun.run

    def odd(self: TrainingRun, *args: Any, **kwargs: Any) -> Any:
        if self.number in (3, 4):
            raise DivergedError("training diverged in epoch 1: the loss is nan")
        notes = ("all alike", f"of {'its' if self.number == 6 else 'no'} own")
        return train(self, *args, **kwargs)._replace(notes=notes)

    monkeypatch.setattr(TrainingRun, "run", odd)
    notes = fit(photos, options(members=6, epochs=1), out="run").result["notes"]
    assert [note for note in notes if "lenet5: " in note] == [
        "lenet5: all alike",
        "lenet5: of no own",
        "members 2, 5 and 6 of lenet5: all alike",
        "members 2 and 5 of lenet5: of no own",
        "members 3 and 4 of lenet5: training diverged in epoch 1: the loss is nan; left out",
        "member 6 of lenet5: of its own",
    ]


@pytest.mark.usefixtures("shared_cache")
def test_a_softmax_layer_that_is_chosen_has_no_further_members(in_tmp_path: Path, photos: Path) -> None:
    del in_tmp_path
    both = options(network=("efficientnet_lite0", "lenet5"), resolution=64, epochs=1, transfer=None)
    run = fit(photos, both, out="run")
    assert run.result["network"] == "efficientnet_lite0"
    assert run.result["notes"][-1] == (
        "no further members: the chosen candidate is a softmax layer on frozen features, which comes out alike from "
        "every seed"
    )
    assert not (run.path / "members").exists()
    assert "members" not in run.result
    assert 'id="members"' not in run.report.read_text()


def test_seeds_go_round_at_their_end() -> None:
    given = options(seed=2**63 - 2)
    first = TrainedCandidate(FromScratch("lenet5", given), given)
    assert [first.member(number).recipe.seed for number in (1, 2, 3)] == [2**63 - 2, 2**63 - 1, 0]
    assert first.member(2).start.recipe.seed == 2**63 - 1
    assert first.recipe.seed == first.start.recipe.seed == 2**63 - 2


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"members": 1}, "members must be 2 to 20, got 1; leave it out to train once"),
        ({"members": 21}, "members must be 2 to 20, got 21; leave it out to train once"),
        ({"members": 0}, "members must be a number above 0, got 0"),
        ({"members": 2.5}, "members must be a whole number, got 2.5"),
        ({"network": ("efficientnet_lite0",), "epochs": None},
         ("members has no effect: no candidate is trained by epochs; leave it out, or add transfer 'partial', 'full', "
          "'auto' or 'none'")),
    ],
)  # fmt: skip
def test_numbers_of_members_that_cannot_be_are_refused(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match=f"^{re.escape(text)}$"):
        options(**fields)


def test_a_run_goes_on_with_its_own_number_of_members() -> None:
    assert options(members=4).difference(options().to_json()) == "members 3, now 4"
    assert options().difference(options().to_json()) == ""


def test_a_member_that_was_changed_is_an_error(ensemble: Run, tmp_path: Path) -> None:
    run = shutil.copytree(ensemble.path, tmp_path / "run")
    (run / "members" / "3" / "network.onnx").write_bytes(b"")
    text = f"classifier {str(run / 'members' / '3')!r}: network.onnx was changed since it was saved"
    with pytest.raises(DataError, match=f"^{re.escape(text)}"):
        with_members(run)
    shutil.rmtree(run / "members" / "3")
    assert [named.name for named in with_members(run)] == [str(run), str(run / "members" / "2")]
    assert [named.name for named in with_members(run / "classifier")] == [str(run / "classifier")]

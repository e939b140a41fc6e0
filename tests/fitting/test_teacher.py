"""A network that learns what a run says: which shares it is given, what is kept of the teacher, and who is refused."""

import gzip
import json
import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from numpy.typing import NDArray

from convwise.classifier import load
from convwise.classifier.folder import _own_sha256
from convwise.data.provenance import ImageSet
from convwise.data.roles import assign
from convwise.data.samples import Listing, list_folder
from convwise.errors import CheckpointError, DataError, UsageError
from convwise.evaluation import evaluate, with_members
from convwise.evaluation.answers import ask
from convwise.fitting import Options, Run, fit
from convwise.fitting import teacher as teaching
from convwise.fitting.task import Task, make_task
from convwise.fitting.teacher import load_teacher, taught
from convwise.progress import silent
from convwise.runtime.gather import gather
from convwise.training.checkpoint import Checkpoints
from convwise.training.recipe import Recipe

T = TypeVar("T")
MakePhotos = Callable[..., Path]
FASHION = Path("/usr/share/datasets/fashion-mnist")
TRAIN = ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz")


def options(**changes: Any) -> Options:
    return Options(**{"network": ("lenet5",), "epochs": 2, "threads": 1, **changes})


def prepared(data: Path, given: Options) -> tuple[Task, Any]:
    listing = list_folder(data)
    roles = assign(gather(listing, [], threads=1, track=silent).samples, given.split_seed)
    return make_task(listing, roles, given, trained=True), roles


def learnt_from(task: Task) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = task.train & ~task.held_out
    return found


def test_the_shares_are_half_the_label_and_half_what_the_members_say_on_average(
    in_tmp_path: Path, photos: Path
) -> None:
    del in_tmp_path
    fit(photos, options(members=2), out="teacher")
    given = options(teacher="teacher", seed=7)
    task, roles = prepared(photos, given)
    found = taught(task, roles, load_teacher(given), threads=2, track=silent)
    assert found.taught is not None
    learn = learnt_from(task)
    said = []
    for member in with_members(Path("teacher")):
        one = evaluate(member.classifier, list_folder(photos), threads=1, split="all")
        by_path = {s.path: probs for s, probs in zip(one.samples, one.probs, strict=True)}
        said.append([by_path[s.path] for s in task.samples])
    expected = 0.5 * np.mean(said, axis=0) + 0.5 * np.eye(3)[task.labels]
    np.testing.assert_allclose(found.targets[learn], expected[learn], atol=1e-6)
    assert found.targets[learn].sum(axis=1) == pytest.approx(1, abs=1e-6)
    assert not found.targets[~learn].any()
    assert found.taught.notes == ()  # it has held the same images out
    assert task.targets is task.labels
    assert taught(task, roles, (), threads=1, track=silent) is task


def turned(run: Run, folder: Path) -> Path:
    """A classifier that calls red blue and blue red."""
    shutil.copytree(run.path / "classifier", folder)
    record = json.loads((folder / "classifier.json").read_text())
    record["classes"].reverse()
    record["sha256"]["classifier.json"] = _own_sha256(record)
    (folder / "classifier.json").write_text(json.dumps(record))
    return folder


@pytest.mark.usefixtures("shared_cache")
def test_classes_are_matched_by_name_whatever_their_order(head_run: Run, photos: Path, tmp_path: Path) -> None:
    given = options(teacher=str(turned(head_run, tmp_path / "turned")))
    task, roles = prepared(photos, given)
    found = taught(task, roles, load_teacher(given), threads=1, track=silent)
    straight = taught(task, roles, load_teacher(options(teacher=str(head_run.path))), threads=1, track=silent)
    learn = learnt_from(task)
    labels = np.eye(3)[task.labels[learn]]
    said, other = (2 * one.targets[learn] - labels for one in (straight, found))
    np.testing.assert_allclose(said, other[:, ::-1], atol=1e-6)
    assert (said.argmax(axis=1) == task.labels[learn]).mean() > 0.8


@pytest.mark.usefixtures("shared_cache")
@pytest.mark.parametrize(
    "changes",
    [
        {"augment": False}, {}, {"members": 2},
        {"network": ("efficientnet_lite0",), "transfer": "partial", "resolution": 32, "epochs": 1},
    ],
    ids=["as they are", "augmented", "members", "cached views"],
)  # fmt: skip
def test_a_student_comes_out_otherwise_than_who_learns_the_labels(
    in_tmp_path: Path, head_run: Run, photos: Path, changes: dict[str, Any]
) -> None:
    del in_tmp_path
    runs = [fit(photos, options(teacher=t, **changes), out=out) for t, out in ((None, "a"), (str(head_run.path), "b"))]
    plain, student = ([m.classifier.sha256["weights.safetensors"] for m in with_members(run.path)] for run in runs)
    assert len(plain) == len(student) == changes.get("members", 1)
    assert not {*plain} & {*student}
    assert runs[1].record["options"]["teacher"] == str(head_run.path)
    assert runs[1].record["chosen"]["how"].endswith(f"; it learnt the labels and what `{head_run.path}` says")
    assert "learnt" not in runs[0].record["chosen"]["how"]


def test_a_student_that_is_interrupted_ends_in_the_same_weights(
    in_tmp_path: Path, lenet_run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = options(teacher=str(shutil.copytree(lenet_run.path, in_tmp_path / "teacher")))
    whole = fit(photos, given, out="whole")

    def stop(items: Iterable[T], total: int, what: str) -> Iterable[T]:  # noqa: ARG001
        for done, item in enumerate(items):
            if what.startswith("steps") and done == 1:
                raise KeyboardInterrupt
            yield item

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "due", lambda _: True)
        with pytest.raises(KeyboardInterrupt):
            fit(photos, given, out="part", track=stop)
    assert any(Path("part.partial").glob("checkpoints/lenet5/*.safetensors"))
    shutil.copytree("part.partial", "other.partial")
    part = fit(photos, given, out="part")
    assert part.classifier.sha256["weights.safetensors"] == whole.classifier.sha256["weights.safetensors"]
    fit(photos, options(seed=3), out="teacher", overwrite=True)
    text = r"^checkpoint \d+ in 'other.partial.*' is of a training with other images, or other labels; go back to that"
    with pytest.raises(CheckpointError, match=text):
        fit(photos, given, out="other")


def test_what_the_teacher_has_seen_is_told_and_kept(
    in_tmp_path: Path, lenet_run: Run, photos: Path, make_photos: MakePhotos
) -> None:
    given = options(teacher=str(lenet_run.path), split_seed=1)
    run = fit(photos, given, out="run")
    task, roles = prepared(photos, given)
    known = lenet_run.classifier.provenance
    measured = [s for s in task.samples if s.split == roles.measured]
    seen = sum(s.sha256 in known.trained_on or s.sha256 in known.chosen_on for s in measured)
    chose = [s for s, held in zip(task.samples, task.held_out, strict=True) if held]
    trained = sum(s.sha256 in known.trained_on for s in chose)
    assert min(seen, trained) > 0
    first = (
        f"the teacher was trained on, or chosen by, {seen} of the {len(measured)} measured images: what it knows of "
        "them is in its answers, so that the figures may flatter"
    )
    second = (
        f"the teacher was trained on {trained} of the {len(chose)} images that choose the epoch and the temperature: "
        "its answers tell of them, so that both choices may come out too sure"
    )
    assert [note for note in run.result["notes"] if "teacher" in note] == [first, second]
    kept = run.classifier.provenance
    learn = ImageSet.of(s.sha256 for s, own in zip(task.samples, learnt_from(task), strict=True) if own)
    assert kept.trained_on == learn | known.trained_on
    assert not kept.chosen_on.prefixes & kept.trained_on.prefixes
    assert evaluate(run.classifier, list_folder(photos), threads=1).trained_on > 0
    other = make_photos(in_tmp_path / "other", seed=5)
    quiet = fit(other, replace(given, split_seed=0), out="quiet")
    assert not [note for note in quiet.result["notes"] if "teacher" in note]


@pytest.mark.usefixtures("shared_cache")
def test_of_a_teacher_that_taught_the_chosen_classifier_nothing_that_alone_is_told(
    in_tmp_path: Path, lenet_run: Run, photos: Path
) -> None:
    del in_tmp_path
    given = options(network=("efficientnet_lite0", "lenet5"), resolution=64, epochs=1, split_seed=1)
    run = fit(photos, replace(given, teacher=str(lenet_run.path)), out="run")  # which has seen measured images
    assert run.result["network"] == "efficientnet_lite0"
    text = (
        "the teacher taught the chosen classifier nothing: it is a softmax layer on frozen features, which learns the "
        "labels alone"
    )
    assert [note for note in run.result["notes"] if "teacher" in note] == [text]


def test_a_teacher_of_other_classes_is_refused(
    in_tmp_path: Path, lenet_run: Run, make_photos: MakePhotos, photos: Path
) -> None:
    other = make_photos(in_tmp_path / "other", 6, ("blue", "red", "white"))
    text = (
        f"teacher {str(lenet_run.path)!r} and data {str(other)!r} have different classes: 'green' only the teacher "
        "knows; 'white' only the data has; name a teacher that was trained on the same classes"
    )
    with pytest.raises(DataError, match=f"^{re.escape(text)}$"):
        fit(other, options(teacher=str(lenet_run.path)), out="run")
    fewer = make_photos(in_tmp_path / "fewer", 6, ("blue", "red"))
    text = r"have different classes: 'green' only the teacher knows; name a teacher"
    with pytest.raises(DataError, match=text):
        fit(fewer, options(teacher=str(lenet_run.path)), out="run")
    fit(fewer, options(), out="small")
    with pytest.raises(DataError, match=r"have different classes: 'green' only the data has; name a teacher"):
        fit(photos, options(teacher="small"), out="run")
    assert not list(in_tmp_path.glob("run*"))


def test_a_teacher_of_other_classes_is_refused_before_all_files_are_read(
    in_tmp_path: Path, lenet_run: Run, make_photos: MakePhotos, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = make_photos(in_tmp_path / "more", 6, ("blue", "green", "red", "white"))
    fewer = make_photos(in_tmp_path / "fewer", 6, ("blue", "red"))
    monkeypatch.setattr("convwise.fitting.work.gather", lambda *_, **__: pytest.fail("all files are read"))
    for data, text in ((more, "'white' only the data has"), (fewer, "'green' only the teacher knows")):
        with pytest.raises(DataError, match=rf"have different classes: {text}; name a teacher"):
            fit(data, options(teacher=str(lenet_run.path)), out="run")


def test_a_class_without_a_usable_image_is_none_that_a_teacher_must_know(
    in_tmp_path: Path, lenet_run: Run, make_photos: MakePhotos
) -> None:
    data = make_photos(in_tmp_path / "data", 8)
    (data / "broken").mkdir()
    (data / "broken" / "1.jpg").write_bytes(b"no image")
    given = options(teacher=str(lenet_run.path))
    assert fit(data, given, out="run").classifier.classes == ("blue", "green", "red")
    for path in (data / "green").iterdir():
        path.write_bytes(b"no image")
    shutil.rmtree(data / "broken")
    with pytest.raises(DataError, match=r"have different classes: 'green' only the teacher knows; name a teacher"):
        fit(data, given, out="other")


def test_a_teacher_that_is_not_there_is_told_before_a_file_is_read(
    in_tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("convwise.fitting.work.gather", lambda *_, **__: pytest.fail("a file is read"))
    text = "classifier 'nobody' does not exist; give the folder of a run, or its classifier folder"
    with pytest.raises(DataError, match=f"^{re.escape(text)}$"):
        fit(photos, options(teacher="nobody"), out="run")
    assert list(in_tmp_path.iterdir()) == []


def test_a_teacher_of_no_training_is_refused() -> None:
    text = (
        "teacher has no effect: no candidate is trained by epochs; leave it out, or add transfer 'partial', 'full', "
        "'auto' or 'none'"
    )
    with pytest.raises(UsageError, match=f"^{re.escape(text)}$"):
        Options(teacher="runs/1")
    assert Options(transfer="full", teacher="runs/1").difference(Options(transfer="full").to_json()) == (
        "teacher None, now 'runs/1'"
    )


def test_an_image_that_goes_away_is_told(lenet_run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def blind(classifiers: Any, listing: Listing, **others: Any) -> Any:
        return ask(classifiers, replace(listing, samples=listing.samples[2:]), **others)

    monkeypatch.setattr(teaching, "ask", blind)
    given = options(teacher=str(lenet_run.path))
    task, roles = prepared(photos, given)
    text = (
        f"2 of the {learnt_from(task).sum()} images to learn from in {str(photos)!r} cannot be read any more; leave "
        "the data alone while a run goes on, and repeat the command"
    )
    with pytest.raises(DataError, match=f"^{re.escape(text)}$"):
        taught(task, roles, load_teacher(given), threads=1, track=silent)


def test_a_run_may_take_the_place_of_its_own_teacher(in_tmp_path: Path, lenet_run: Run, photos: Path) -> None:
    shutil.copytree(lenet_run.path, in_tmp_path / "run")
    before = load("run").sha256
    assert fit(photos, options(teacher="run"), out="run", overwrite=True).classifier.sha256 != before


@pytest.mark.slow
def test_a_student_of_three_is_better_than_who_learns_the_labels(
    in_tmp_path: Path, make_idx: Callable[..., Path]
) -> None:
    """Of three seeds the mean, on 4,000 images that neither has seen."""
    if not (FASHION / "train-images-idx3-ubyte.gz").is_file():
        pytest.skip("Debian's package dataset-fashion-mnist is not installed")
    levels, labels = (gzip.decompress((FASHION / name).read_bytes()) for name in TRAIN)
    images = np.frombuffer(levels, np.uint8, offset=16).reshape(-1, 28, 28)
    for begin, part in (("train", slice(3000)), ("t10k", slice(3000, 7000))):  # all are of the train split
        make_idx(in_tmp_path / "data", begin, images[part], [*labels[8:][part]])
    given = Options(network=("lenet5",), threads=1, epochs=12, recipe=Recipe(batch=64, lr=0.04))
    teacher = fit("data", replace(given, members=3), out="teacher")
    students = [fit("data", replace(given, seed=s, teacher="teacher"), out=str(s)).result["top1"] for s in (10, 11, 12)]
    plain = [row["top1"] for row in teacher.result["members"][:3]]
    assert np.mean(students) > np.mean(plain) + 0.005

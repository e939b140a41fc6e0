import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convwise.classifier import Classifier
from convwise.data.roles import split_flat
from convwise.data.samples import Listing, list_folder
from convwise.errors import DataError, UsageError
from convwise.evaluation import Evaluation, compare_classifiers, evaluate
from convwise.fitting import Run
from convwise.metrics import compare
from convwise.runtime.gather import gather


@pytest.fixture
def classifier(lenet_run: Run) -> Classifier:
    return lenet_run.classifier


def measure(classifier: Classifier, folder: Path, split: str | None = None) -> Evaluation:
    return evaluate(classifier, list_folder(folder), threads=2, split=split)


def flat_split(folder: Path, seed: int = 0) -> dict[str, str | None]:
    samples = gather(list_folder(folder), [], threads=1).samples
    return {s.path: s.split for s in split_flat(samples, seed)}


def test_the_same_folder_gives_the_run_s_own_figures(lenet_run: Run, photos: Path) -> None:
    found = measure(lenet_run.classifier, photos)
    assert found.split == "test"
    assert found.trained_on == 0
    assert found.summary.top1.value == lenet_run.result["top1"]
    assert found.summary.n == lenet_run.result["n"] == len(found.samples)
    by_hash = flat_split(photos)
    assert {s.path for s in found.samples} == {path for path, split in by_hash.items() if split == "test"}
    assert all(s.split == "test" for s in found.samples)


def test_what_it_says_is_what_predict_says(classifier: Classifier, photos: Path) -> None:
    found = measure(classifier, photos)
    predictions = classifier.predict([photos / s.path for s in found.samples])
    probs = np.array([list(p.probs.values()) for p in predictions])
    assert np.allclose(found.probs, probs, atol=1e-6)
    assert [classifier.classes[label] for label in found.labels] == [s.label for s in found.samples]
    right = [p.label == s.label for p, s in zip(predictions, found.samples, strict=True)]
    assert found.correct.tolist() == right
    assert found.summary.top1.value == pytest.approx(np.mean(right))


def test_train_and_all_tell_how_many_were_trained_on(lenet_run: Run, photos: Path) -> None:
    classifier = lenet_run.classifier
    count = len(classifier.provenance.trained_on)
    train, everything = measure(classifier, photos, "train"), measure(classifier, photos, "all")
    assert (len(everything.samples), everything.split) == (30, "all")
    assert everything.trained_on == train.trained_on == count
    assert 0 < count < len(train.samples)  # a tenth was held out to choose the epoch
    assert len(train.samples) == 30 - lenet_run.result["n"]


def test_a_head_was_trained_on_all_of_train(head_run: Run, photos: Path) -> None:
    found = measure(head_run.classifier, photos, "train")
    assert found.trained_on == len(found.samples) == 30 - head_run.result["n"]


def test_a_flat_folder_of_new_images_is_measured_whole(
    classifier: Classifier, tmp_path: Path, make_photos: Callable[..., Path]
) -> None:
    found = measure(classifier, make_photos(tmp_path / "new", 3, seed=9))
    assert (found.split, len(found.samples), found.trained_on) == ("all", 9, 0)


def test_a_folder_with_one_known_image_is_measured_by_the_hashes(
    classifier: Classifier, photos: Path, tmp_path: Path, make_photos: Callable[..., Path]
) -> None:
    folder = make_photos(tmp_path / "new", 6, seed=9)
    known = next(
        s for s in measure(classifier, photos, "train").samples if s.sha256 in classifier.provenance.trained_on
    )
    shutil.copy(photos / known.path, folder / known.label / "known.jpg")
    found = measure(classifier, folder)
    assert found.split == "test"
    expected = {path for path, split in flat_split(folder).items() if split == "test"}
    assert {s.path for s in found.samples} == expected


def test_test_is_measured_where_there_is_one(classifier: Classifier, split_photos: Path) -> None:
    found = measure(classifier, split_photos)
    assert found.split == "test"
    assert {s.path.split("/")[0] for s in found.samples} == {"test"}
    assert len(found.samples) == 10
    assert measure(classifier, split_photos, "val").split == "val"


def test_val_is_measured_where_there_is_no_test(
    classifier: Classifier, tmp_path: Path, make_photos: Callable[..., Path]
) -> None:
    folder = make_photos(tmp_path / "new", 2, splits=("train", "val"), seed=3)
    assert measure(classifier, folder).split == "val"


def test_a_train_folder_alone_is_split_like_a_flat_one(classifier: Classifier, photos: Path, tmp_path: Path) -> None:
    shutil.copytree(photos, tmp_path / "data" / "train")
    found = measure(classifier, tmp_path / "data")
    assert found.split == "test"
    assert sorted(s.sha256 for s in found.samples) == sorted(s.sha256 for s in measure(classifier, photos).samples)


def test_an_unknown_split_gets_the_nearest(classifier: Classifier, photos: Path) -> None:
    text = "split must be one of train, val, test, all, got 'tset'; did you mean 'test'?"
    with pytest.raises(UsageError, match=f"^{re.escape(text)}$"):
        measure(classifier, photos, "tset")


@pytest.mark.parametrize(
    ("layout", "split", "there"), [("photos", "val", "test, train"), ("partial", "test", "train, val")]
)
def test_a_split_that_is_not_there_is_an_error(
    layout: str, split: str, there: str, classifier: Classifier, photos: Path, tmp_path: Path,
    make_photos: Callable[..., Path],
) -> None:  # fmt: skip
    folder = photos if layout == "photos" else make_photos(tmp_path / "new", 2, splits=("train", "val"))
    text = f"data {str(folder)!r} has no usable image in split {split!r}, only in {there}"
    with pytest.raises(DataError, match=f"^{re.escape(text)}$"):
        measure(classifier, folder, split)


def test_a_class_that_the_classifier_does_not_know_is_an_error(
    classifier: Classifier, tmp_path: Path, make_photos: Callable[..., Path]
) -> None:
    folder = make_photos(tmp_path / "new", 1, ("red", "c10", "c9", "c8", "c7"), seed=9)
    text = (
        f"data {str(folder)!r} has 4 classes that the classifier does not know: 'c7', 'c8', 'c9'; "
        "it knows 'blue', 'green', 'red'"
    )
    with pytest.raises(DataError, match=f"^{re.escape(text)}$"):
        measure(classifier, folder)


def test_a_class_that_is_not_in_the_folder_is_no_error(
    classifier: Classifier, tmp_path: Path, make_photos: Callable[..., Path]
) -> None:
    found = measure(classifier, make_photos(tmp_path / "new", 3, ("red",), seed=4))
    assert found.labels.tolist() == [2, 2, 2]
    assert found.probs.shape == (3, 3)


def test_unusable_files_are_told(classifier: Classifier, tmp_path: Path, make_photos: Callable[..., Path]) -> None:
    folder = make_photos(tmp_path / "new", 3, seed=4)
    (folder / "red" / "empty.jpg").touch()
    found = measure(classifier, folder)
    assert found.skipped == {"red/empty.jpg": "zero bytes"}
    assert len(found.samples) == 9


@pytest.mark.parametrize("split", [None, "all", "test"])
def test_a_folder_without_a_usable_image_is_an_error(classifier: Classifier, tmp_path: Path, split: str | None) -> None:
    (tmp_path / "red").mkdir()
    (tmp_path / "red" / "1.jpg").touch()
    with pytest.raises(DataError, match=r"can be used|no usable image"):
        measure(classifier, tmp_path, split)


def test_the_second_time_comes_from_the_cache(
    classifier: Classifier, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = measure(classifier, photos)
    monkeypatch.setattr("convwise.data.decoding.decode", lambda *_: pytest.fail("decoded again"))
    assert np.array_equal(measure(classifier, photos).probs, first.probs)


def test_two_classifiers_are_compared_on_the_images_both_could_use(lenet_run: Run, head_run: Run, photos: Path) -> None:
    first, second = measure(lenet_run.classifier, photos, "all"), measure(head_run.classifier, photos, "all")
    assert compare_classifiers(first, second) == compare(first.correct, second.correct)
    keep = [0, 4, 7, 20]
    fewer = replace(
        second, samples=tuple(second.samples[i] for i in reversed(keep)),
        labels=second.labels[keep[::-1]], probs=second.probs[keep[::-1]],
    )  # fmt: skip
    assert compare_classifiers(first, fewer) == compare(first.correct[keep], second.correct[keep])
    assert compare_classifiers(fewer, first).difference == -compare_classifiers(first, fewer).difference


def test_nothing_in_common_cannot_be_compared(classifier: Classifier, photos: Path) -> None:
    train, test = measure(classifier, photos, "train"), measure(classifier, photos, "test")
    text = "the two classifiers have no image in common; give both the same folder and split"
    with pytest.raises(DataError, match=f"^{re.escape(text)}$"):
        compare_classifiers(train, test)


def test_a_listing_stays_as_it_was(classifier: Classifier, photos: Path) -> None:
    listing: Listing = list_folder(photos)
    evaluate(classifier, listing, threads=1)
    assert listing == list_folder(photos)


def test_a_copy_of_a_training_image_counts_as_trained_on(classifier: Classifier, photos: Path, tmp_path: Path) -> None:
    known = next(
        s for s in measure(classifier, photos, "train").samples if s.sha256 in classifier.provenance.trained_on
    )
    for split in ("train", "test"):
        (tmp_path / split / known.label).mkdir(parents=True)
        shutil.copy(photos / known.path, tmp_path / split / known.label / "x.jpg")
    Image.new("RGB", (40, 40)).save(tmp_path / "test" / known.label / "new.png")
    found = measure(classifier, tmp_path)
    assert (found.trained_on, len(found.samples)) == (1, 2)

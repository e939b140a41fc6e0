"""Several views, several classifiers: their averages against plain numpy, their prices, and what is said of them."""

import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from convwise.classifier import Classifier, load
from convwise.classifier.folder import _own_sha256
from convwise.data import decoding
from convwise.data.samples import Listing, list_folder
from convwise.data.sources import Files
from convwise.errors import DataError, UsageError
from convwise.evaluation import Named, Row, average, evaluate, price
from convwise.evaluation.tricks import letter
from convwise.fitting import Run
from convwise.metrics import Paired, compare
from convwise.runtime.session import FrozenNetwork

MakePhotos = Callable[..., Path]
Pixels = NDArray[np.uint8]


def softmax(logits: NDArray[np.float32], temperature: float) -> NDArray[np.float64]:
    """The plain reference, in float64."""
    exp = np.exp(logits.astype(np.float64) / temperature)
    return np.asarray(exp / exp.sum(axis=1, keepdims=True))


def ten_crops(path: Path, share: float, side: int, mode: str) -> Iterator[Pixels]:
    """AlexNet's ten crops in plain numpy, resized by Pillow."""
    image = np.asarray(Image.open(path).convert("RGB").convert(mode))
    height, width = image.shape[:2]
    whole = min(height, width)
    patch = int(whole * share)
    top, left, rest = (height - whole) // 2, (width - whole) // 2, whole - patch
    places = [(top, left), (top, left + rest), (top + rest, left), (top + rest, left + rest),
              ((height - patch) // 2, (width - patch) // 2)]  # fmt: skip
    for y, x in places:
        small = Image.fromarray(image[y : y + patch, x : x + patch]).resize((side, side), Image.Resampling.BICUBIC)
        pixels = np.asarray(small).reshape(side, side, -1)
        yield pixels
        yield pixels[:, ::-1]


def priced(
    classifiers: Sequence[Classifier], data: Path | Listing, views: str | None = None, split: str = "all"
) -> tuple[Row, ...]:
    listing = data if isinstance(data, Listing) else list_folder(data)
    named = [Named(letter(i).lower(), c) for i, c in enumerate(classifiers)]
    return price(named, listing, threads=2, views=views, split=split)


def reversed_classes(run: Run, folder: Path) -> Classifier:
    """A classifier whose classes stand in the opposite order, and which therefore says something else."""
    shutil.copytree(run.path / "classifier", folder)
    record = json.loads((folder / "classifier.json").read_text())
    record["classes"].reverse()
    record["sha256"]["classifier.json"] = _own_sha256(record)
    (folder / "classifier.json").write_text(json.dumps(record))
    return load(folder)


@pytest.mark.parametrize(("name", "mode", "share"), [("lenet_run", "L", 0.875), ("head_run", "RGB", 0.875)])
def test_ten_views_are_those_of_a_plain_reference(
    name: str, mode: str, share: float, photos: Path, request: pytest.FixtureRequest
) -> None:
    classifier = request.getfixturevalue(name).classifier
    plain, viewed = priced([classifier], photos, "10")
    side = classifier.preprocessing.resolution
    expected = []
    for sample in viewed.evaluation.samples:
        crops = np.stack(list(ten_crops(photos / sample.path, share, side, mode)))
        expected.append(softmax(classifier.logits(crops), classifier.temperature).mean(axis=0))
    np.testing.assert_allclose(viewed.evaluation.probs, expected, atol=2e-6)
    alone = evaluate(classifier, list_folder(photos), threads=1, split="all")
    np.testing.assert_array_equal(plain.evaluation.probs, alone.probs)
    assert plain.evaluation.summary.top1 == alone.summary.top1


def test_flip_averages_an_image_and_its_mirror_image(lenet_run: Run, photos: Path) -> None:
    classifier = lenet_run.classifier
    _, viewed = priced([classifier], photos, "flip")
    for sample, probs in zip(viewed.evaluation.samples, viewed.evaluation.probs, strict=True):
        pixels = decoding.decode(decoding.read(photos / sample.path), [classifier.preprocessing]).pixels[0]
        both = classifier.logits(np.stack([pixels, pixels[:, ::-1]]))
        np.testing.assert_allclose(probs, softmax(both, classifier.temperature).mean(axis=0), atol=2e-6)


def test_views_of_a_cropping_classifier_use_what_is_known_of_the_centre(
    head_run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier, calls = head_run.classifier, []
    run = FrozenNetwork.run

    def counted(self: FrozenNetwork, pixels: Pixels, outputs: Sequence[str]) -> list[NDArray[np.float32]]:
        calls.append(tuple(outputs))
        return run(self, pixels, outputs)

    evaluate(classifier, list_folder(photos), threads=1, split="all")
    monkeypatch.setattr(FrozenNetwork, "run", counted)
    priced([classifier], photos, "10")
    assert calls.count(("logits",)) == 9 * 30
    calls.clear()
    priced([classifier], photos, "flip")
    assert calls.count(("logits",)) == 0


def test_probabilities_are_averaged_and_not_logits() -> None:
    # of 0.98 and 0.02, and 0.3 and 0.7: the mean is 0.64; the mean of the logits would give 0.82
    a, b = np.array([[0.98, 0.02]], np.float32), np.array([[0.3, 0.7]], np.float32)
    np.testing.assert_allclose(average([a, b]), [[0.64, 0.36]], atol=1e-6)


def test_an_ensemble_matches_classes_by_name(lenet_run: Run, head_run: Run, photos: Path, tmp_path: Path) -> None:
    first, other = head_run.classifier, reversed_classes(lenet_run, tmp_path / "other")
    assert other.classes == first.classes[::-1]
    rows = priced([first, other], photos)
    assert [row.label for row in rows] == ["A", "B", "A + B"]
    a, b = (evaluate(c, list_folder(photos), threads=1, split="all").probs for c in (first, other))
    np.testing.assert_array_equal(rows[0].evaluation.probs, a)
    np.testing.assert_array_equal(rows[1].evaluation.probs, b[:, ::-1])
    np.testing.assert_allclose(rows[2].evaluation.probs, (a + b[:, ::-1]) / 2, atol=1e-6)
    assert first.preprocessing != other.preprocessing


def test_each_file_is_decoded_once_for_all(
    lenet_run: Run, head_run: Run, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, decode = [], decoding.decode

    def counted(data: bytes, preprocessings: Sequence[decoding.Preparation]) -> decoding.Decoded:
        seen.append(len(preprocessings))
        return decode(data, preprocessings)

    monkeypatch.setattr("convwise.data.decoding.decode", counted)
    priced([lenet_run.classifier, head_run.classifier], photos, "10")
    # LeNet-5 takes the whole square, so that none of its ten crops is what it looks at alone
    assert seen == [1 + 10 + 10] * 30


def test_every_way_has_its_row_and_its_price(lenet_run: Run, head_run: Run, photos: Path) -> None:
    a, b = lenet_run.classifier, head_run.classifier
    rows = priced([a, b, a], photos, "flip")
    assert [row.label for row in rows] == ["A", "A, flip", "B", "C", "A + B", "A + B + C", "A + B + C, flip"]
    assert [row.name for row in rows][-1] == "a + b + c, flip"
    assert [row.kind for row in rows] == ["classifier", "views", *["classifier"] * 2, *["ensemble"] * 3]
    expected = [a.macs, 2 * a.macs, b.macs, a.macs, a.macs + b.macs, 2 * a.macs + b.macs, 4 * a.macs + 2 * b.macs]
    assert [row.macs for row in rows] == expected
    assert [row.times_macs for row in rows] == [pytest.approx(macs / a.macs) for macs in expected]
    assert rows[5].params == 2 * a.params + b.params
    assert rows[0].paired is None
    assert rows[0].verdict == ""
    for row in rows:
        assert row.evaluation.samples == rows[0].evaluation.samples
    for row in rows[1:]:
        assert row.paired == compare(row.evaluation.correct, rows[0].evaluation.correct)
    assert rows[3].paired
    assert rows[3].paired[:1] == (0,)
    ms = [row.latency_ms for row in rows]
    assert ms[1:] == pytest.approx([2 * ms[0], ms[2], ms[3], ms[0] + ms[2], ms[0] + ms[2] + ms[3],
                                    2 * (ms[0] + ms[2] + ms[3])], abs=0.01)  # fmt: skip
    assert ms[2] > ms[0]  # Lite0 at 64 pixels against LeNet-5
    quickest = [row.quickest_ms for row in rows]
    assert all(0 < least <= usual + 0.01 for least, usual in zip(quickest, ms, strict=True))
    assert [row.times_latency for row in rows] == [pytest.approx(each / quickest[0]) for each in quickest]


def test_what_any_member_was_trained_on_is_told(lenet_run: Run, head_run: Run, photos: Path) -> None:
    alone, other, both = priced([lenet_run.classifier, head_run.classifier], photos)
    union = sum(
        s.sha256 in lenet_run.classifier.provenance.trained_on or s.sha256 in head_run.classifier.provenance.trained_on
        for s in both.evaluation.samples
    )
    assert both.evaluation.trained_on == union >= max(alone.evaluation.trained_on, other.evaluation.trained_on) > 0


def verdict(row: Row, a_only: int, b_only: int, n: int = 153) -> str:
    correct = np.zeros((2, n), bool)
    correct[0, :a_only] = correct[1, a_only : a_only + b_only] = True
    return replace(row, paired=compare(*correct), quickest_ms=9.84, first=replace(row, quickest_ms=1.0)).verdict


def test_the_words_say_whether_it_is_worth_it(lenet_run: Run, photos: Path) -> None:
    first, viewed = priced([lenet_run.classifier], photos, "flip")
    for row, better, worse, same, unknown in [
        (
            viewed,
            "worth it where 9.8 times the time can be spent: 5.0 points or more are gained",
            "not worth it: it is worse, and takes 9.8 times the time",
            "not worth it: right on the same images as A alone, for 9.8 times the time",
            "not worth it on this evidence: too few images to tell it from A alone (p = 0.55), for 9.8 times the time",
        ),
        (
            first,
            "better; it takes 9.8 times the time",
            "worse; it takes 9.8 times the time",
            "right on the same images; it takes 9.8 times the time",
            "too few images to tell them apart (p = 0.55); it takes 9.8 times the time",
        ),
    ]:
        # 17 images: 17 / 153 = 11.1 points, low end (18 - 1) / 155 - 1.96 sqrt((19/155 - (17/155)^2) / 155) = 5.7
        assert re.sub(r"\d\.\d points", "5.0 points", verdict(row, 17, 0)) == better
        assert verdict(row, 0, 17) == worse
        assert verdict(row, 0, 0) == same
        assert verdict(row, 7, 4) == unknown
    assert "5.7 points or more" in verdict(viewed, 17, 0)
    as_quick = replace(first, paired=compare(*np.ones((2, 9), bool)), first=first)
    assert as_quick.verdict == "right on the same images; it takes as long"


def test_a_test_and_an_interval_that_disagree_decide_nothing(lenet_run: Run, photos: Path) -> None:
    _, viewed = priced([lenet_run.classifier], photos, "flip")
    paired = Paired(0.04, -0.001, 0.08, 6, 0, 150, 0.031)
    assert "too few images to tell it from A alone" in replace(viewed, paired=paired).verdict


def test_classifiers_of_different_classes_are_not_averaged(lenet_run: Run, photos: Path, tmp_path: Path) -> None:
    other = reversed_classes(lenet_run, tmp_path / "other")
    names = replace(other, classes=("red", "c10", "c9"))
    text = (
        "classifiers 'a' and 'b' have different classes and cannot be averaged: 'blue', 'green' only 'a' knows; "
        "'c9', 'c10' only 'b' knows; give classifiers of the same classes"
    )
    with pytest.raises(DataError, match=f"^{re.escape(text)}$"):
        priced([lenet_run.classifier, names], photos)
    many = replace(other, classes=("blue", "green", "red", "c4", "c1", "c3", "c2"))
    with pytest.raises(DataError, match=r"averaged: 'c1', 'c2', 'c3' and 1 more only 'b' knows; give"):
        priced([lenet_run.classifier, many], photos)


def test_unknown_views_are_refused_before_a_file_is_read(lenet_run: Run, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^views must be one of 10, flip, got 'filp'; did you mean 'flip'\?$"):
        priced([lenet_run.classifier], Listing(tmp_path, (), Files(tmp_path)), "filp")


def test_there_are_letters_for_any_number_of_classifiers() -> None:
    assert [letter(i) for i in (0, 1, 25, 26, 53)] == ["A", "B", "Z", "A2", "B3"]


def test_a_split_of_three_images_or_without_a_class_is_measured_honestly(
    lenet_run: Run, tmp_path: Path, make_photos: MakePhotos
) -> None:
    folder = make_photos(tmp_path / "new", 3, ("red",), seed=4)
    rows = priced([lenet_run.classifier], folder, "10")
    for row in rows:
        assert row.evaluation.summary.n == 3
        top1 = row.evaluation.summary.top1
        assert top1.high - top1.low > 0.5
    assert rows[1].paired
    assert rows[1].paired.high - rows[1].paired.low > 0.5


def test_copies_of_one_image_count_once_as_different_files(lenet_run: Run, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "red").mkdir()
    for i in range(20):
        shutil.copy(photos / "red" / "img0.jpg", tmp_path / "red" / f"{i}.jpg")
    (row,) = priced([lenet_run.classifier], tmp_path)
    assert (row.evaluation.summary.n, row.evaluation.different) == (20, 1)

import json
import subprocess
import sys

import numpy as np
import pytest
from numpy.typing import NDArray

from convwise.errors import DataError
from convwise.metrics import bootstrap_mean, nll, summary, wilson


def drawn(n: int, num_classes: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, num_classes, n)
    logits = rng.normal(size=(n, num_classes))
    logits[np.arange(n), labels] += 3
    probs = np.exp(logits)
    return labels, (probs / probs.sum(axis=1, keepdims=True)).astype(np.float32)


def test_parts_agree_with_their_functions() -> None:
    labels, probs = drawn(153, 3)
    measured = summary(labels, probs, seed=4)
    right = int((probs.argmax(axis=1) == labels).sum())
    assert measured.n == 153
    assert measured.top1 == wilson(right, 153)
    assert measured.nll == bootstrap_mean(nll(labels, probs), 4)
    assert int(measured.confusion.sum()) == 153
    assert sum(row.support for row in measured.per_class) == 153
    for interval in (measured.balanced_accuracy, measured.macro_f1):
        assert 0 <= interval.low < interval.value < interval.high <= 1


def test_a_seed_fixes_everything_and_moves_only_bootstraps() -> None:
    labels, probs = drawn(153, 3)
    first, again, other = (summary(labels, probs, seed=seed).to_json("abc") for seed in (0, 0, 1))
    assert first == again
    moved = {name for name in first if first[name] != other[name]}
    ends = {f"{name}_{end}" for name in ("nll", "balanced_accuracy", "macro_f1") for end in ("low", "high")}
    assert {"nll_low", "nll_high"} <= moved <= ends


def test_equal_probabilities_predict_the_lowest_index() -> None:
    measured = summary(np.array([1, 2]), np.array([[0.0, 0.5, 0.5], [0.25, 0.375, 0.375]]))
    assert measured.confusion.tolist() == [[0, 0, 0], [0, 1, 0], [0, 1, 0]]


def test_json_is_plain_and_has_no_nan() -> None:
    record = summary(np.array([0, 0]), np.array([[1.0, 0.0], [1.0, 0.0]])).to_json(["a", "b"])
    text = json.dumps(record, allow_nan=False)
    assert json.loads(text) == record
    assert (record["n"], record["top1"], record["top1_high"]) == (2, 1, 1)
    assert record["top1_low"] == wilson(2, 2).low
    assert "confusion" not in record  # a million numbers at 1,000 classes; who wants it has the attribute
    absent = {"class": "b", "support": 0} | {
        key: value
        for name in ("precision", "recall", "f1")
        for key, value in ((name, None), (f"{name}_low", 0.0), (f"{name}_high", 1.0))
    }
    rows = record["per_class"]
    assert isinstance(rows, list)
    assert rows[1] == absent


def test_one_image_and_one_class_can_be_measured() -> None:
    measured = summary(np.array([0]), np.array([[1.0]]))
    assert (measured.top1.value, measured.balanced_accuracy.value, measured.macro_f1.value) == (1, 1, 1)
    assert measured.nll == (0, 0, 0)


def test_no_images_are_an_error() -> None:
    with pytest.raises(DataError, match=r"^labels has no image to measure; choose a split that has images$"):
        summary(np.zeros(0, dtype=np.int64), np.zeros((0, 2)))


def test_nothing_heavy_is_imported() -> None:
    code = "import sys, convwise.metrics; print(sorted({'scipy', 'sklearn', 'torch', 'statistics'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

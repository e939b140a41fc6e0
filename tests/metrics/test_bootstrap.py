import math
import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray

from convwise.metrics import Counts, balanced_accuracy, bootstrap_confusion, bootstrap_mean, macro_f1
from convwise.metrics.bootstrap import CHUNK, RESAMPLES, _chunks, smoothed_cells
from convwise.metrics.shares import Z, wilson


def test_the_interval_of_a_mean_matches_its_standard_error() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, size=2000)
    value, low, high = bootstrap_mean(values, 0)
    half = Z * values.std() / math.sqrt(2000)
    assert value == values.mean()
    assert (value - low, high - value) == pytest.approx((half, half), rel=0.08)


def test_one_image_has_an_interval_of_no_width() -> None:
    assert bootstrap_mean(np.array([0.25]), 0) == (0.25, 0.25, 0.25)


def test_a_seed_fixes_the_interval_and_another_moves_it() -> None:
    values = np.random.default_rng(0).exponential(size=153)
    confusion = np.array([[70, 6], [4, 73]])
    assert bootstrap_mean(values, 1) == bootstrap_mean(values, 1)
    assert bootstrap_mean(values, 1) != bootstrap_mean(values, 2)
    assert bootstrap_confusion(confusion, [macro_f1], 1) == bootstrap_confusion(confusion, [macro_f1], 1)
    assert bootstrap_confusion(confusion, [macro_f1], 1) != bootstrap_confusion(confusion, [macro_f1], 2)


def test_a_classifier_without_errors_has_about_the_interval_of_wilson() -> None:
    for n in (20, 153, 1000):
        (balanced,) = bootstrap_confusion(np.diag([n // 2, n - n // 2]), [balanced_accuracy], 0)
        assert (balanced.value, balanced.high) == (1, 1)
        assert 1 - balanced.low == pytest.approx(1 - wilson(n, n).low, rel=0.5)


def test_one_class_alone_can_be_measured() -> None:
    for confusion in (np.array([[5]]), np.array([[4, 1], [0, 0]])):
        balanced, f1 = bootstrap_confusion(confusion, [balanced_accuracy, macro_f1], 0)
        assert 0 < balanced.low < balanced.value == confusion[0, 0] / 5 <= balanced.high <= 1
        assert 0 < f1.low < f1.value <= f1.high <= 1


def test_cells_are_the_diagonal_then_added_errors_then_errors_seen() -> None:
    # 2 of 8 in class 0 went to class 2, which has no images; class 1 has 2, both right; class 3 is absent
    confusion = np.zeros((4, 4), dtype=np.int64)
    confusion[0, 0], confusion[0, 2], confusion[1, 1] = 6, 2, 2
    rows, columns, weights = smoothed_cells(confusion)
    big, small = 0.8 * Z * Z / 2, 0.2 * Z * Z / 2
    assert rows.tolist() == [0, 1, 1, 0, 0]
    assert columns.tolist() == [0, 1, 0, 1, 2]
    np.testing.assert_allclose(weights, [6 + big, 2 + small, small, big, 2])


def true_figures(joint: NDArray[np.float64]) -> tuple[float, float]:
    """Balanced accuracy and macro F1 of a whole population."""
    recall = np.diag(joint) / joint.sum(axis=1)
    f1 = 2 * np.diag(joint) / (joint.sum(axis=1) + joint.sum(axis=0))
    return float(recall.mean()), float(f1.mean())


@pytest.mark.parametrize(
    ("shares", "recalls", "n"),
    [
        ([0.5, 0.5], [0.96, 0.96], 153),
        ([0.5, 0.5], [0.99, 0.99], 153),  # without the added errors 78 %
        ([0.1] * 10, [0.97] * 10, 200),  # without them 90 %
        ([0.6, 0.1, 0.1, 0.1, 0.05, 0.05], [0.97, 0.9, 0.8, 0.9, 0.9, 0.6], 300),
        ([0.05] * 20, [0.8] * 20, 120),  # six images per class: macro F1 is biased, and corrected
    ],
)
def test_intervals_cover_95_percent(shares: list[float], recalls: list[float], n: int) -> None:
    size, trials = len(shares), 250
    joint = np.outer(np.array(shares) * (1 - np.array(recalls)), np.ones(size)) / (size - 1)
    joint[np.arange(size), np.arange(size)] = np.array(shares) * recalls
    truth = true_figures(joint)
    rng = np.random.default_rng(0)
    covered = np.zeros(2)
    for seed in range(trials):
        confusion = rng.multinomial(n, joint.ravel()).reshape(size, size)
        intervals = bootstrap_confusion(confusion, [balanced_accuracy, macro_f1], seed)
        covered += [low <= t <= high for t, (_, low, high) in zip(truth, intervals, strict=True)]
    assert np.all(covered / trials >= 0.91)  # 0.95 less three standard errors of 250 trials
    assert np.all(covered / trials <= 0.985)


def test_chunks_add_up_and_stay_small() -> None:
    for width in (1, 153, 10_000, CHUNK, 3 * CHUNK):
        chunks = list(_chunks(width))
        assert sum(chunks) == RESAMPLES
        assert max(chunks) * width <= max(CHUNK, width)


def test_a_thousand_classes_cost_cells_seen_and_not_classes_squared() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 1000, 2000)
    predicted = np.where(rng.random(2000) < 0.8, labels, rng.integers(0, 1000, 2000))
    confusion = np.zeros((1000, 1000), dtype=np.int64)
    np.add.at(confusion, (labels, predicted), 1)
    present = np.unique(labels).size
    wrong = np.count_nonzero(confusion) - np.count_nonzero(np.diagonal(confusion))
    assert len(smoothed_cells(confusion).weights) == 2 * present + wrong

    tracemalloc.start()
    bootstrap_confusion(confusion, [balanced_accuracy, macro_f1], 0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * CHUNK * 8  # bytes: a few chunks of eight-byte numbers; all resamples at once are 70 MB


def test_statistics_take_many_matrices_at_once() -> None:
    one, other = np.array([[3, 1], [0, 4]]), np.array([[2, 0], [5, 1]])
    a, b = Counts.of(one), Counts.of(other)
    both = Counts(*(np.stack(pair).astype(np.int64) for pair in zip(a, b, strict=True)))
    for statistic in (balanced_accuracy, macro_f1):
        np.testing.assert_array_equal(statistic(both), [statistic(a), statistic(b)])

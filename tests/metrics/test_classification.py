import math
import re

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import balanced_accuracy_score, f1_score, log_loss, precision_recall_fscore_support
from sklearn.metrics import confusion_matrix as reference_confusion

from convwise.errors import DataError, UsageError
from convwise.metrics import (
    Counts,
    balanced_accuracy,
    confusion_matrix,
    macro_f1,
    nll,
    per_class,
    top1,
    wilson,
)

# rows true, columns predicted; the third class has no images, the fourth is never predicted
BY_HAND = np.array([[6, 2, 0, 0], [1, 8, 1, 0], [0, 0, 0, 0], [0, 2, 0, 0]])


def drawn(n: int, num_classes: int, seed: int = 0) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Labels and probabilities of a classifier that is often right."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, num_classes, n)
    logits = rng.normal(size=(n, num_classes))
    logits[np.arange(n), labels] += 2
    probs = np.exp(logits)
    return labels, probs / probs.sum(axis=1, keepdims=True)


def test_confusion_has_the_true_class_in_rows() -> None:
    confusion = confusion_matrix(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 0]), 4)
    assert confusion.tolist() == [[1, 1, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    assert confusion.dtype == np.int64


def test_small_label_types_do_not_overflow() -> None:
    labels = np.array([200, 255], dtype=np.uint8)
    assert confusion_matrix(labels, labels, 256)[200, 200] == 1


def test_means_leave_out_a_class_without_images() -> None:
    counts = Counts.of(BY_HAND)
    assert top1(BY_HAND) == wilson(14, 20)
    assert float(balanced_accuracy(counts)) == pytest.approx((6 / 8 + 8 / 10 + 0 / 2) / 3)
    assert float(macro_f1(counts)) == pytest.approx((12 / (8 + 7) + 16 / (10 + 12) + 0) / 3)


def test_per_class_by_hand() -> None:
    first, second, third, fourth = per_class(BY_HAND)
    assert (first.precision, first.recall, first.support) == (wilson(6, 7), wilson(6, 8), 8)
    assert (second.precision, second.recall, second.support) == (wilson(8, 12), wilson(8, 10), 10)
    assert third.support == 0
    assert all(math.isnan(share.value) and share[1:] == (0, 1) for share in third[:3])
    assert math.isnan(fourth.precision.value)
    assert (fourth.recall.value, fourth.f1.value, fourth.f1.low) == (0, 0, 0)


def test_f1_is_carried_over_from_the_share_of_the_union() -> None:
    # class 0: 6 right of 9 in the class or predicted as it; J = 6/9 gives F1 = 2 (6/9) / (15/9) = 12/15
    f1 = per_class(BY_HAND)[0].f1
    _, low, high = wilson(6, 9)
    assert f1.value == pytest.approx(12 / 15)
    assert (f1.low, f1.high) == pytest.approx((2 * low / (1 + low), 2 * high / (1 + high)))


def test_a_faultless_class_still_has_an_interval() -> None:
    (only,) = per_class(np.array([[3]]))
    assert (only.f1.value, only.f1.high) == (1, 1)
    assert 0.4 < only.f1.low < 0.7  # J of 3/3 is above 3 / (3 + z^2) = 0.4385, so F1 above 0.6097
    assert only.f1.low == pytest.approx(0.6097, abs=1e-4)


def test_f1_intervals_cover_95_percent() -> None:
    shares = np.array([0.20, 0.02, 0.04, 0.74])  # right, missed, falsely predicted, neither
    truth = 2 * 0.20 / (2 * 0.20 + 0.02 + 0.04)
    covered = 0
    for right, missed, false, _ in np.random.default_rng(0).multinomial(150, shares, size=2000).tolist():
        f1 = per_class(np.array([[right, missed], [false, 0]]))[0].f1
        covered += f1.low <= truth <= f1.high
    assert 0.93 <= covered / 2000 <= 0.97  # five standard errors are 2.4 %


@pytest.mark.parametrize(("n", "num_classes"), [(153, 2), (500, 10), (60, 40)])
def test_figures_equal_scikit_learn(n: int, num_classes: int) -> None:
    labels, probs = drawn(n, num_classes)
    predicted = probs.argmax(axis=1)
    everything = np.arange(num_classes)
    present = np.unique(labels)
    confusion = confusion_matrix(labels, predicted, num_classes)
    np.testing.assert_array_equal(confusion, reference_confusion(labels, predicted, labels=everything))

    precision, recall, f1, support = precision_recall_fscore_support(
        labels, predicted, labels=present, zero_division=np.nan
    )
    rows = [row for row in per_class(confusion) if row.support]
    np.testing.assert_allclose([row.precision.value for row in rows], precision)
    np.testing.assert_allclose([row.recall.value for row in rows], recall)
    np.testing.assert_allclose([row.f1.value for row in rows], f1)
    np.testing.assert_array_equal([row.support for row in rows], support)

    counts = Counts.of(confusion)
    np.testing.assert_allclose(macro_f1(counts), f1_score(labels, predicted, labels=present, average="macro"))
    np.testing.assert_allclose(balanced_accuracy(counts), recall.mean())
    np.testing.assert_allclose(nll(labels, probs).mean(), log_loss(labels, probs, labels=everything))


def test_balanced_accuracy_equals_scikit_learn() -> None:
    labels, probs = drawn(300, 5)
    predicted = probs.argmax(axis=1)
    counts = Counts.of(confusion_matrix(labels, predicted, 5))
    np.testing.assert_allclose(balanced_accuracy(counts), balanced_accuracy_score(labels, predicted))


def test_nll_is_minus_the_log_of_the_true_class() -> None:
    losses = nll(np.array([0, 1]), np.array([[0.5, 0.5], [0.75, 0.25]], dtype=np.float32))
    np.testing.assert_allclose(losses, [math.log(2), math.log(4)])
    assert losses.dtype == np.float64


def test_nll_of_a_sure_error_is_finite() -> None:
    assert nll(np.array([1]), np.array([[1.0, 0.0]]))[0] == pytest.approx(15 * math.log(10))


def test_nll_is_never_negative() -> None:
    assert nll(np.array([0]), np.array([[1.001, 0.0]])).tolist() == [0]


HALF = np.full((2, 2), 0.5)
LABELS = np.array([0, 1])
NO_SHARES = (
    "probs must be shares of at least 0 that sum to 1 for each image, got the {}; "
    "logits need a softmax first, nan means that the training diverged"
)


@pytest.mark.parametrize(
    ("labels", "probs", "error", "message"),
    [
        (
            np.array([], dtype=np.int64),
            np.zeros((0, 2)),
            DataError,
            "labels has no image to measure; choose a split that has images",
        ),
        (
            np.array([0.0, 1.0]),
            HALF,
            UsageError,
            "labels must be whole numbers of shape (n,), got float64 of shape (2,)",
        ),
        (
            np.array([[0], [1]]),
            HALF,
            UsageError,
            "labels must be whole numbers of shape (n,), got int64 of shape (2, 1)",
        ),
        (np.array([0, 2]), HALF, UsageError, "labels must be from 0 to 1, got 2 for image 1 (1 in all)"),
        (np.array([-1, -1]), HALF, UsageError, "labels must be from 0 to 1, got -1 for image 0 (2 in all)"),
        (LABELS, HALF[0], UsageError, "probs must be floats of shape (n, K), got float64 of shape (2,)"),
        (
            LABELS,
            np.ones((2, 1), dtype=np.int64),
            UsageError,
            "probs must be floats of shape (n, K), got int64 of shape (2, 1)",
        ),
        (LABELS, np.full((3, 2), 0.5), UsageError, "probs must have one row per label, 2, got 3"),
        (
            LABELS,
            np.array([[0.5, 0.5], [3.0, 1.0]]),
            DataError,
            NO_SHARES.format("sum 4 for image 1 (1 in all)"),
        ),
        (
            LABELS,
            np.array([[np.nan, 0.5], [1.5, -0.5]]),
            DataError,
            NO_SHARES.format("sum nan for image 0 (2 in all)"),
        ),
    ],
)
def test_what_cannot_be_measured_is_said(
    labels: NDArray[np.int64], probs: NDArray[np.float64], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        nll(labels, probs)


def test_confusion_refuses_what_does_not_fit() -> None:
    with pytest.raises(UsageError, match=r"^predicted must have one class per label, 2, got 3$"):
        confusion_matrix(LABELS, np.array([0, 1, 1]), 2)
    with pytest.raises(UsageError, match=r"^predicted must be from 0 to 1, got 5 for image 0 \(1 in all\)$"):
        confusion_matrix(LABELS, np.array([5, 1]), 2)
    with pytest.raises(DataError, match=r"^labels has no image to measure; choose a split that has images$"):
        confusion_matrix(LABELS[:0], LABELS[:0], 2)

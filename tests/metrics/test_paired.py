import math
import re

import numpy as np
import pytest
from numpy.typing import NDArray

from convwise.errors import DataError, UsageError
from convwise.metrics import compare
from convwise.metrics.paired import _bonett_price, mcnemar


def outcomes(both: int, a_only: int, b_only: int, neither: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    counts = [both, a_only, b_only, neither]
    return np.repeat([True, True, False, False], counts), np.repeat([True, False, True, False], counts)


def test_a_comparison_by_hand() -> None:
    # disagreements 8 and 2 of 100: p = 2 (C(10,0) + C(10,1) + C(10,2)) / 2^10 = 112 / 1024
    paired = compare(*outcomes(80, 8, 2, 10))
    assert (paired.a_only, paired.b_only, paired.n) == (8, 2, 100)
    assert paired.difference == pytest.approx(0.06)
    assert paired.p_value == 112 / 1024
    # centre (9 - 3) / 102 = 0.058824, half 1.959964 sqrt((12/102 - 0.058824^2) / 102) = 0.065578
    assert (paired.low, paired.high) == pytest.approx((0.058824 - 0.065578, 0.058824 + 0.065578), abs=2e-6)


def test_the_interval_equals_a_published_example() -> None:
    # the example of ci.prop.ps(.05, 12, 4, 26, 6) in the R package statpsych, by Bonett
    paired = compare(*outcomes(6, 26, 4, 12))
    assert (paired.low, paired.high) == pytest.approx((0.2548067, 0.6251933), abs=1e-7)


def test_exchange_turns_the_signs() -> None:
    a, b = outcomes(50, 9, 4, 7)
    forth, back = compare(a, b), compare(b, a)
    assert (back.difference, back.low, back.high) == (-forth.difference, -forth.high, -forth.low)
    assert (back.a_only, back.b_only, back.p_value) == (4, 9, forth.p_value)


def test_equal_classifiers_differ_by_nothing_but_the_interval_has_width() -> None:
    a, b = outcomes(140, 0, 0, 13)
    paired = compare(a, b)
    assert (paired.difference, paired.p_value) == (0, 1)
    assert paired.low < 0 < paired.high


def test_the_interval_stays_within_minus_1_and_1() -> None:
    paired = compare(*outcomes(0, 1, 0, 0))
    assert (paired.difference, paired.high) == (1, 1)
    assert paired.low >= -1


def test_p_is_the_binomial_formula() -> None:
    for a_only in range(12):
        for b_only in range(12):
            m = a_only + b_only
            tail = sum(math.comb(m, k) for k in range(min(a_only, b_only) + 1)) / 2**m
            assert mcnemar(a_only, b_only) == min(1, 2 * tail)


@pytest.mark.parametrize(("a_only", "b_only"), [(30, 12), (400, 330), (5000, 4700), (9000, 2000), (50_000, 0)])
def test_p_equals_scipy_however_many_images(a_only: int, b_only: int) -> None:
    stats = pytest.importorskip("scipy.stats")  # comes with scikit-learn
    expected = stats.binomtest(a_only, a_only + b_only).pvalue
    assert mcnemar(a_only, b_only) == pytest.approx(expected, rel=1e-9, abs=1e-300)


@pytest.mark.parametrize(("n", "share_a", "share_b"), [(150, 0.05, 0.05), (150, 0.08, 0.02), (60, 0.2, 0.1)])
def test_intervals_cover_95_percent_summed_exactly(n: int, share_a: float, share_b: float) -> None:
    logs = math.log(share_a), math.log(share_b), math.log(1 - share_a - share_b)
    covered = 0.0
    for a_only in range(n + 1):
        for b_only in range(n + 1 - a_only):
            low, high = _bonett_price(a_only, b_only, n)
            if low <= share_a - share_b <= high:
                rest = n - a_only - b_only
                ways = math.lgamma(n + 1) - sum(math.lgamma(k + 1) for k in (a_only, b_only, rest))
                covered += math.exp(ways + a_only * logs[0] + b_only * logs[1] + rest * logs[2])
    assert 0.94 <= covered <= 0.97


YES = np.array([True, False])
EMPTY = "correct_a and correct_b have no image to compare; choose a split that has images"


@pytest.mark.parametrize(
    ("a", "b", "error", "message"),
    [
        (YES[:0], YES[:0], DataError, EMPTY),
        (YES, YES[:1], UsageError, "correct_b must be of the same images, 2 as in correct_a, got 1"),
        (np.array([1, 0]), YES, UsageError, "correct_a must be booleans of shape (n,), got int64 of shape (2,)"),
        (YES, YES[:, np.newaxis], UsageError, "correct_b must be booleans of shape (n,), got bool of shape (2, 1)"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_said(
    a: NDArray[np.bool_], b: NDArray[np.bool_], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        compare(a, b)

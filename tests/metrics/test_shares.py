import math
import statistics

import pytest

from convwise.metrics import LEVEL, wilson
from convwise.metrics.shares import Z


def test_z_belongs_to_the_level() -> None:
    assert pytest.approx(statistics.NormalDist().inv_cdf((1 + LEVEL) / 2), rel=1e-15) == Z


def test_wilson_matches_its_formula_worked_by_hand() -> None:
    # 8 of 10: centre (0.8 + 3.8415/20) / 1.38415 = 0.716739, half sqrt(0.016 + 3.8415/400) * 1.95996 / 1.38415
    value, low, high = wilson(8, 10)
    assert value == 0.8
    assert low == pytest.approx(0.716739 - 0.226577, abs=1e-5)
    assert high == pytest.approx(0.716739 + 0.226577, abs=1e-5)


@pytest.mark.parametrize("n", [1, 3, 153, 1000, 50_000])
def test_wilson_ends_are_exact_without_a_success_or_a_failure(n: int) -> None:
    none, every = wilson(0, n), wilson(n, n)
    z2 = Z * Z
    assert (none.value, none.low) == (0, 0)
    assert none.high == pytest.approx(z2 / (n + z2))
    assert (every.value, every.high) == (1, 1)
    assert every.low == pytest.approx(n / (n + z2))


def test_wilson_of_nothing_is_unknown() -> None:
    value, low, high = wilson(0, 0)
    assert math.isnan(value)
    assert (low, high) == (0, 1)


def test_wilson_holds_its_value() -> None:
    for n in (1, 2, 7, 153):
        for successes in range(n + 1):
            value, low, high = wilson(successes, n)
            assert 0 <= low <= value <= high <= 1


@pytest.mark.parametrize("n", [150, 300, 1000])
def test_wilson_covers_95_percent(n: int) -> None:
    intervals = [wilson(k, n) for k in range(n + 1)]
    ways = [math.log(math.comb(n, k)) for k in range(n + 1)]
    for p in [percent / 100 for percent in range(50, 98)]:
        covered = sum(
            math.exp(ways[k] + k * math.log(p) + (n - k) * math.log1p(-p))
            for k, (_, low, high) in enumerate(intervals)
            if low <= p <= high
        )
        assert 0.93 <= covered <= 0.971, (n, p)

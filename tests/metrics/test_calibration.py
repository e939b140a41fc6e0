import math
import re

import numpy as np
import pytest
from numpy.typing import NDArray

from convwise.errors import DataError
from convwise.metrics import Temperature, at_temperature, fit_temperature, nll, reliability, softmax

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


def too_sure(n: int, num_classes: int = 5, factor: float = 3.0, seed: int = 0) -> tuple[Ints, Floats]:
    """Labels drawn from a softmax, and the probabilities of a network whose logits are `factor` times too large."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (n, num_classes)).astype(np.float32)
    gumbel = rng.gumbel(size=logits.shape)
    return (logits + gumbel).argmax(axis=1), softmax(np.float32(factor) * logits)


@pytest.mark.parametrize("factor", [0.4, 1.0, 3.0])
def test_the_temperature_undoes_logits_that_are_too_large(factor: float) -> None:
    labels, probs = too_sure(20_000, factor=factor)
    found = fit_temperature(labels, probs)
    assert found.value == pytest.approx(factor, rel=0.03)
    assert found.n == 20_000
    assert found.nll_before == pytest.approx(nll(labels, probs).mean())
    assert found.nll == pytest.approx(nll(labels, at_temperature(probs, found.value)).mean())
    assert found.nll <= found.nll_before


@pytest.mark.parametrize("n", [1, 7, 60, 500])
def test_the_minimum_is_that_of_a_plain_search(n: int) -> None:
    labels, probs = too_sure(n, seed=n)
    logits = np.log(probs.astype(np.float64))

    def objective(b: float) -> float:
        scaled = b * logits
        each = np.log(np.exp(scaled).sum(axis=1)) - scaled[np.arange(n), labels]
        return float(each.sum() + 4 * (b - 1 - math.log(b)))

    low, high = 0.05, 20.0
    for _ in range(4):
        grid = np.linspace(low, high, 200)
        best = int(np.argmin([objective(b) for b in grid]))
        low, high = grid[max(best - 1, 0)], grid[min(best + 1, 199)]
    b = grid[best]
    assert fit_temperature(labels, probs).value == pytest.approx(1 / b, rel=1e-4)


def test_a_few_images_that_are_all_right_do_not_make_a_classifier_certain() -> None:
    probs = np.tile(np.array([[0.8, 0.2]], np.float32), (3, 1))
    labels = np.zeros(3, np.int64)
    assert 0.7 < fit_temperature(labels, probs).value < 1
    many = fit_temperature(np.zeros(3000, np.int64), np.tile(probs[:1], (3000, 1)))
    assert 0.05 <= many.value < 0.3


def test_a_classifier_that_is_always_wrong_stays_within_bounds() -> None:
    probs = np.tile(np.array([[1.0, 0.0]], np.float32), (4000, 1))
    found = fit_temperature(np.ones(4000, np.int64), probs)
    assert found.value == pytest.approx(20, rel=1e-3)
    assert np.isfinite(found.nll)


def test_answers_without_an_opinion_have_the_temperature_one() -> None:
    assert fit_temperature(np.array([0, 1, 1]), np.full((3, 4), 0.25, np.float32)).value == pytest.approx(1)


def test_a_temperature_of_one_leaves_probabilities_and_another_leaves_the_answer() -> None:
    _, probs = too_sure(500)
    np.testing.assert_allclose(at_temperature(probs, 1.0), probs, atol=1e-6)
    for temperature in (0.05, 0.7, 2.5, 20):
        changed = at_temperature(probs, temperature)
        assert np.array_equal(changed.argmax(axis=1), probs.argmax(axis=1))
        np.testing.assert_allclose(changed.sum(axis=1), 1, atol=1e-5)
    # logits ln 9 and 0 at temperature 2 are ln 3 and 0
    np.testing.assert_allclose(at_temperature(np.array([[0.9, 0.1]], np.float32), 2), [[0.75, 0.25]], atol=1e-6)


def test_probabilities_that_were_rounded_to_zero_stay_finite() -> None:
    assert np.isfinite(at_temperature(np.array([[1.0, 0.0]], np.float32), 3)).all()


def test_the_calibration_error_matches_a_count_by_hand() -> None:
    # two answers at 0.9, one of them right: |0.5 - 0.9|; two at 0.6, both right: |1 - 0.6|; one at 0.5, wrong
    probs = np.array([[0.9, 0.1], [0.1, 0.9], [0.6, 0.4], [0.4, 0.6], [0.5, 0.5]])
    found = reliability(np.array([0, 0, 0, 1, 1]), probs)
    assert found.ece == pytest.approx((2 * 0.4 + 2 * 0.4 + 0.5) / 5)
    assert [b.n for b in found.bins] == [0] * 7 + [1, 2, 0, 0, 0, 0, 2, 0]
    assert found.bins[13].prob == pytest.approx(0.9)
    assert found.bins[13].right.value == 0.5
    assert math.isnan(found.bins[0].prob)
    assert (found.bins[0].right.low, found.bins[0].right.high) == (0, 1)
    assert found.nll == pytest.approx(-np.log([0.9, 0.1, 0.6, 0.6, 0.5]).mean())


def test_a_certain_answer_is_in_the_last_bin() -> None:
    assert reliability(np.array([0]), np.array([[1.0, 0.0]])).bins[-1].n == 1


def test_true_probabilities_stay_below_chance_and_false_ones_do_not() -> None:
    stayed = 0
    for seed in range(200):
        labels, probs = too_sure(153, factor=1.0, seed=seed)
        found = reliability(labels, probs, seed)
        stayed += found.ece <= found.ece_by_chance
    assert 0.90 <= stayed / 200 <= 0.99  # 0.95 less and more three standard errors of 200 trials
    labels, probs = too_sure(153, factor=3.0)
    found = reliability(labels, probs)
    assert found.ece > 2 * found.ece_by_chance


def test_a_seed_fixes_what_chance_gives() -> None:
    labels, probs = too_sure(153)
    assert reliability(labels, probs, 1).ece_by_chance == reliability(labels, probs, 1).ece_by_chance
    assert reliability(labels, probs, 1).ece_by_chance != reliability(labels, probs, 2).ece_by_chance


@pytest.mark.parametrize("measure", [fit_temperature, reliability])
def test_no_image_and_no_distribution_are_errors(measure: object) -> None:
    assert callable(measure)
    with pytest.raises(DataError, match=re.escape("labels has no image to measure; choose a split that has images")):
        measure(np.zeros(0, np.int64), np.zeros((0, 2), np.float32))
    with pytest.raises(DataError, match="probs must be shares of at least 0 that sum to 1 for each image"):
        measure(np.array([0]), np.array([[2.0, 3.0]]))


def test_a_temperature_of_many_classes_takes_little_time_and_memory() -> None:
    labels, probs = too_sure(6000, 1000, factor=2.0)
    assert isinstance(found := fit_temperature(labels, probs), Temperature)
    assert found.value == pytest.approx(2, rel=0.1)

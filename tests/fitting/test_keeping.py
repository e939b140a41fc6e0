"""Which rung of a ladder is kept."""

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from convwise.fitting.climb import Fit
from convwise.fitting.keeping import kept_rungs
from convwise.metrics import fit_temperature, softmax

if TYPE_CHECKING:
    from convwise.fitting.task import Candidate, Fitted, Task

LABELS = np.arange(100) % 2
TASK = cast("Task", SimpleNamespace(labels=np.repeat(LABELS, 2), compare=np.arange(200) % 2 == 0))


def probs(of_truth: NDArray[np.float64]) -> NDArray[np.float32]:
    """Of 100 images and two classes, given that of the true one."""
    found = np.stack([of_truth, 1 - of_truth], axis=1)
    return np.where(LABELS[:, None] == 0, found, found[:, ::-1]).astype(np.float32)


def rung(right: int, sure: float, unsure: float = 0.4, network: str = "net") -> Fit:
    """The first `right` of 100 images have the probability `sure` of their class, the others `unsure`."""
    candidate = cast("Candidate", SimpleNamespace(network=network))
    fitted = SimpleNamespace(choice_probs=probs(np.where(np.arange(100) < right, sure, unsure)))
    return Fit(candidate, [], cast("Fitted", fitted))


def test_a_rung_that_gains_more_than_its_noise_in_top1_is_kept() -> None:
    # ten images more: Bonett and Price's standard error is sqrt(11/102 + 1/102 - (10/102)^2) / sqrt(102) = 3.3 points
    assert kept_rungs([rung(60, 0.8), rung(70, 0.8)], TASK) == [1]


def test_one_that_loses_more_than_its_noise_is_not_whatever_its_nll() -> None:
    assert kept_rungs([rung(70, 0.6), rung(60, 0.99, 0.49)], TASK) == [0]


def test_rungs_that_tie_leave_the_lower_one() -> None:
    assert kept_rungs([rung(60, 0.8), rung(61, 0.8)], TASK) == [0]
    assert kept_rungs([rung(60, 0.8), rung(60, 0.8)], TASK) == [0]


def test_where_top1_cannot_tell_them_apart_the_nll_at_the_best_temperature_does() -> None:
    # those that are wrong are less sure of it: no temperature gives the lower rung that
    lower, higher = rung(60, 0.9, 0.1), rung(61, 0.9, 0.45)
    assert kept_rungs([lower, higher], TASK) == [1]
    assert kept_rungs([higher, lower], TASK) == [0]


def test_being_too_sure_alone_is_no_loss_since_a_temperature_mends_it() -> None:
    lower = rung(60, 0.8, 0.2)
    surer = rung(60, 0.8**4 / (0.8**4 + 0.2**4), 0.2**4 / (0.8**4 + 0.2**4))  # the logits times four
    assert kept_rungs([surer, lower], TASK) == [0]


def test_a_third_rung_is_held_to_the_one_that_is_kept() -> None:
    assert kept_rungs([rung(60, 0.8), rung(61, 0.8), rung(72, 0.8)], TASK) == [2]
    assert kept_rungs([rung(60, 0.8), rung(72, 0.8), rung(73, 0.8)], TASK) == [1]


def test_each_network_has_its_own() -> None:
    fits = [rung(60, 0.8), rung(75, 0.8), rung(10, 0.8, network="other")]
    assert kept_rungs(fits, TASK) == [1, 2]


def test_how_often_a_rung_that_is_no_better_is_kept() -> None:
    """Equally good rungs on 60 images: one in six, and one in four where these chose the upper one's epoch of 12."""
    rng, trials, n, kept = np.random.default_rng(0), 200, 60, {1: 0, 12: 0}
    task = cast("Task", SimpleNamespace(labels=np.arange(n) % 5, compare=np.ones(n, bool)))
    images = np.eye(5)[task.labels] * 1.5

    def noise(deviation: float) -> NDArray[np.float64]:
        return rng.normal(0, deviation, (n, 5))

    def heard(logits: NDArray[np.float64]) -> Fit:
        fitted = SimpleNamespace(choice_probs=softmax((1.3 * logits).astype(np.float32)))
        return Fit(cast("Candidate", SimpleNamespace(network="net")), [], cast("Fitted", fitted))

    def nll(fit: Fit) -> float:
        return fit_temperature(task.labels, fit.fitted.choice_probs).nll

    for _ in range(trials):
        shown = images + noise(1)
        lower, upper = heard(shown + noise(0.7)), shown + noise(0.62)  # epochs have most of their errors in common
        epochs = [heard(upper + noise(0.32)) for _ in range(12)]
        for among in kept:
            kept[among] += kept_rungs([lower, min(epochs[:among], key=nll)], task) == [1]
    assert 0.10 < kept[1] / trials < 0.22
    assert 0.22 < kept[12] / trials < 0.36

"""Are probabilities as good as they say? The temperature that makes them so, and how far they are off.

Source: Guo, Pleiss, Sun and Weinberger (2017), On Calibration of Modern Neural Networks, arXiv 1706.04599.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .bootstrap import CHUNK
from .classification import Ints, Probs, check_probs, nll, softmax
from .shares import LEVEL, Interval, wilson

BINS = 15  # as in the paper
SURE = 4.0  # how sure we are beforehand that the temperature is 1: as images whose logits' variances sum to 4 make one
COLDEST, HOTTEST = 0.05, 20.0  # temperatures that are considered
STEPS = 50  # Newton takes 4 to 8
DRAWS = 400  # of images that are right as often as the probabilities say
LEAST = 1e-30  # a probability that float32 has rounded to nothing: log(1e-30) = -69


class Temperature(NamedTuple):
    """A temperature, and what it does on the n images that it was fitted on.

    Attributes:
        value: the logits are divided by it; above 1 makes answers less sure.
        n: images.
        nll_before, nll: mean negative log-likelihood there at temperature 1 and at this one, nats.
    """

    value: float
    n: int
    nll_before: float
    nll: float


class Bin(NamedTuple):
    """The n images whose answer had a probability in (low, high].

    Attributes:
        low, high: shares in [0, 1].
        n: images.
        prob: mean probability of the answers; nan without images.
        right: share of right answers, with Wilson's interval.
    """

    low: float
    high: float
    n: int
    prob: float
    right: Interval


class Reliability(NamedTuple):
    """Whether answers are right as often as their probability says.

    Attributes:
        ece: expected calibration error, the mean of |share right - probability| over the images, by bin; in [0, 1].
        ece_by_chance: what 95 of 100 such sets of images would stay below if every probability were true.
        nll: mean negative log-likelihood, nats.
        bins: all 15, those without images too.
    """

    ece: float
    ece_by_chance: float
    nll: float
    bins: tuple[Bin, ...]


def fit_temperature(labels: Ints, probs: Probs) -> Temperature:
    """Find the temperature with the lowest NLL of labels (n,), given probs (n, K) at temperature 1.

    A few images, all of them right, would ask for a temperature of 0. So 4 * (b - 1 - ln b) is added to the sum of the
    NLL, b = 1 / temperature: a gamma prior with its mode at 1 and a standard deviation of about a half. It is strictly
    convex, as the NLL is convex in b, so that there is one minimum; a few hundred images outweigh it.

    Raises:
        DataError: there is no image, or a row of `probs` is not a distribution.
        UsageError: the shapes disagree, or a label is no class.
    """
    before = float(nll(labels, probs).mean())
    low, high, b = 1 / HOTTEST, 1 / COLDEST, 1.0
    for _ in range(STEPS):
        slope, curvature = _derivatives(labels, probs, b)
        low, high = (low, b) if slope > 0 else (b, high)
        newton = b - slope / curvature
        moved = newton if low <= newton <= high else (low * high) ** 0.5
        done, b = abs(moved - b) <= 1e-6 * b, moved
        if done:
            break
    value = float(1 / b)
    return Temperature(value, len(labels), before, float(nll(labels, at_temperature(probs, value)).mean()))


def _derivatives(labels: Ints, probs: Probs, b: float) -> tuple[float, float]:
    """First and second derivative by b of the penalised sum of the NLL at logits times b."""
    slope, curvature = SURE * (1 - 1 / b), SURE / b**2
    for rows in _rows(probs):
        logits = _logits(probs[rows])
        p = softmax(np.float32(b) * logits)
        mean = np.einsum("nk,nk->n", p, logits, dtype=np.float64)
        true = logits[np.arange(len(logits)), labels[rows]]
        slope += float((mean - true).sum())
        curvature += float(np.einsum("nk,nk->", p, (logits - mean[:, None]) ** 2, dtype=np.float64))
    return slope, curvature


def at_temperature(probs: Probs, temperature: float) -> NDArray[np.float32]:
    """Give the probabilities that the logits of `probs` (n, K) have when they are divided by a temperature."""
    return softmax(_logits(probs) / np.float32(temperature))


def _logits(probs: Probs) -> NDArray[np.float32]:
    """Logits (n, K) up to a constant per row, which no softmax sees."""
    return np.log(np.maximum(probs, LEAST)).astype(np.float32)


def _rows(probs: Probs) -> Iterator[slice]:
    """Chunks of rows that fit memory, whatever n and K."""
    step = max(1, 4 * CHUNK // probs.shape[1])
    yield from (slice(first, first + step) for first in range(0, len(probs), step))


def reliability(labels: Ints, probs: Probs, seed: int = 0) -> Reliability:
    """Compare the probability of each answer with how often such answers are right: labels (n,), probs (n, K).

    `seed` draws the images of `ece_by_chance`.

    Raises:
        DataError: there is no image, or a row of `probs` is not a distribution.
        UsageError: the shapes disagree, or a label is no class.

    >>> measured = reliability(np.array([0, 1, 1, 0]), np.array([[0.75, 0.25], [0.25, 0.75]] * 2))
    >>> measured.ece
    0.25
    """
    check_probs(labels, probs)
    prob = np.minimum(probs.max(axis=1).astype(np.float64), 1.0)
    right = probs.argmax(axis=1) == labels
    number = np.clip(np.ceil(prob * BINS).astype(int) - 1, 0, BINS - 1)
    bins = []
    for k in range(BINS):
        inside = number == k
        n = int(inside.sum())
        mean = float(prob[inside].mean()) if n else float("nan")
        bins.append(Bin(k / BINS, (k + 1) / BINS, n, mean, wilson(int(right[inside].sum()), n)))
    ece = sum(b.n * abs(b.right.value - b.prob) for b in bins if b.n) / len(labels)
    return Reliability(ece, _by_chance(prob, number, seed), float(nll(labels, probs).mean()), tuple(bins))


def _by_chance(prob: NDArray[np.float64], number: NDArray[np.intp], seed: int) -> float:
    """Quantile of the calibration error when each answer is right with just its probability."""
    order = np.argsort(number, kind="stable")
    prob, number = prob[order], number[order]
    starts = np.flatnonzero(np.r_[True, number[1:] != number[:-1]])
    rng, step = np.random.default_rng(seed), max(1, CHUNK // len(prob))
    errors = []
    for first in range(0, DRAWS, step):
        right = rng.random((min(step, DRAWS - first), len(prob))) < prob
        errors.append(np.abs(np.add.reduceat(right - prob, starts, axis=1)).sum(axis=1) / len(prob))
    return float(np.quantile(np.concatenate(errors), LEVEL))

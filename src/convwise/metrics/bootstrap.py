"""Intervals by resampling, where no formula is at hand: percentile bootstrap with a seeded generator.

Source: Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 13.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .classification import Counts, Numbers
from .shares import LEVEL, Interval, Z

RESAMPLES = 2000
CHUNK = 2**19  # numbers drawn at once: 4 MB, whatever n and K

Statistic = Callable[[Counts], NDArray[np.float64]]


class Cells(NamedTuple):
    """Cells of a confusion matrix to resample, all (m,); classes are numbered among the P that have images.

    The first P cells are the diagonal. `columns` is P where the predicted class has no images.
    """

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    weights: NDArray[np.float64]


def bootstrap_mean(values: NDArray[np.float64], seed: int) -> Interval:
    """Measure the mean of values (n,), n >= 1, and its interval from 2000 resamples of the images.

    A small sample underrates a long tail: of lognormal values with sigma 1.5, the
    interval covered the true mean in 87 % of 400 trials at n = 153, and in 95 % at n = 1000.
    """
    assert values.ndim == 1
    assert values.size >= 1
    rng = np.random.default_rng(seed)
    n = len(values)
    means = [values[rng.integers(0, n, size=(k, n), dtype=np.int32)].mean(axis=1) for k in _chunks(n)]
    return _percentiles(float(values.mean()), np.concatenate(means))


def bootstrap_confusion(confusion: NDArray[np.int64], statistics: Sequence[Statistic], seed: int) -> list[Interval]:
    """Measure functions of a confusion matrix (K, K) with n >= 1 images, and their intervals from 2000 resamples.

    Resampling the images is drawing the matrix from a multinomial over its cells. Two corrections, whose coverage the
    tests measure:

    - An error that did not happen among n images would never be drawn, and a classifier without errors would get an
      interval of no width. So, as in Wilson's interval, z^2/2 = 1.92 right and as many wrong images are added before
      drawing, shared out by support.
    - Macro F1 of a few images per class is too low on average, in the resamples as in the sample. The mean shift of
      the resamples is taken off twice: once for theirs, once for the sample's.

    All statistics are shares in [0, 1] and see the same draws, of the classes that have images alone.
    """
    assert confusion.sum() >= 1
    rng = np.random.default_rng(seed)
    cells = smoothed_cells(confusion)
    n = int(confusion.sum())
    chances = cells.weights / cells.weights.sum()
    draws = (_counts(rng.multinomial(n, chances, size=k), cells) for k in _chunks(len(chances)))
    drawn = np.concatenate([[statistic(counts) for statistic in statistics] for counts in draws], axis=1)
    measured, drawn_from = Counts.of(confusion), _counts(cells.weights[np.newaxis], cells)
    intervals = []
    for statistic, values in zip(statistics, drawn, strict=True):
        shift = values.mean() - statistic(drawn_from)
        intervals.append(_percentiles(float(statistic(measured)), np.clip(values - 2 * shift, 0.0, 1.0)))
    return intervals


def smoothed_cells(confusion: NDArray[np.int64]) -> Cells:
    """List the cells to draw from: P of the diagonal, P for the added wrong images, then the errors observed."""
    support = confusion.sum(axis=1)
    present = np.flatnonzero(support)
    size = len(present)
    number = np.full(len(confusion), size)
    number[present] = np.arange(size)
    added = support[present] / support.sum() * Z * Z / 2

    # an added error goes to the class next in support: an error in and one out for each class, of fitting weight
    order = np.argsort(support[present], kind="stable")
    target = np.roll(order, -1) if size > 1 else np.array([size])

    true, wrong = np.nonzero(confusion)
    off = true != wrong
    true, wrong = true[off], wrong[off]
    return Cells(
        rows=np.concatenate([np.arange(size), order, number[true]]),
        columns=np.concatenate([np.arange(size), target, number[wrong]]),
        weights=np.concatenate([np.diagonal(confusion)[present] + added, added[order], confusion[true, wrong]]),
    )


def _counts(draws: Numbers, cells: Cells) -> Counts:
    """Add draws (R, m) up to counts (R, P)."""
    size = int(cells.rows.max()) + 1
    right = draws[:, :size]
    return Counts(right, _sum_by(draws, cells.rows, size), _sum_by(draws, cells.columns, size))


def _sum_by(draws: Numbers, classes: NDArray[np.intp], size: int) -> Numbers:
    """Sum draws (R, m) over the cells of each of the first `size` classes, every one of which has a cell."""
    order = np.argsort(classes, kind="stable")
    starts = np.searchsorted(classes[order], np.arange(size + 1))
    # a last start past the end is no group for reduceat, so the cells outside are cut off before
    return np.add.reduceat(draws[:, order[: starts[-1]]], starts[:-1], axis=1)


def _chunks(width: int) -> Iterator[int]:
    """Split the resamples, each of `width` drawn numbers, into numbers of resamples that fit a chunk."""
    step = max(1, CHUNK // width)
    yield from (min(step, RESAMPLES - start) for start in range(0, RESAMPLES, step))


def _percentiles(value: float, resampled: NDArray[np.float64]) -> Interval:
    low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(value, min(float(low), value), max(float(high), value))

"""Near-duplicates: images that show almost the same, by the cosine of their standardised features."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..data.threads import map_in_order

Floats = NDArray[np.float32]

# On the 397 photos of ants and bees at 224 px no two reach 0.62, while a photo and its own copy reach 0.85 in 95 of 100
# saved again as JPEG of quality 75, in 99 scaled to three quarters or mirrored, in 75 cropped by a tenth.
ALIKE = 0.85
AXES, SAMPLE, BLOCK = 128, 4096, 2048  # of the sieve; images that it is made from; images compared at once
DENSE = 4096  # pairs in a block from which on the product of the whole block is cheaper
MOST = 10_000


class Pair(NamedTuple):
    """Two images by their places, the smaller first, and the cosine of their features."""

    first: int
    second: int
    cosine: float


def near_duplicates(features: Floats, alike: float = ALIKE, *, most: int = MOST, threads: int = 1) -> list[Pair]:
    """The pairs of rows whose cosine is at least `alike`, the most alike first.

    All n (n - 1) / 2 pairs are compared, by a sieve that loses none: with u split into its projection u' on a few axes
    and a rest of length r, no u.v exceeds u'.v' + r s, a product of AXES + 1 numbers. Only what may reach `alike` by
    that is computed whole.

    Args:
        features: (n, d), raw; each column is standardised over all rows, so that none counts by its scale.
        alike: cosine from which on two images count as near-duplicates.
        most: pairs, the most alike ones: a film's frames would be more than anyone can look at.
        threads: blocks at once.
    """
    unit = _unit(features)
    sieve = _sieve(unit)
    starts = range(0, len(unit), BLOCK)
    blocks = ((a, b) for a in starts for b in starts if b >= a)
    kept = np.zeros((0, 3))
    for found in map_in_order(lambda block: _best(_compare(unit, sieve, block, alike), most), blocks, threads):
        kept = _best(np.concatenate([kept, found]), most)
    return [Pair(int(first), int(second), min(cosine, 1.0)) for first, second, cosine in kept.tolist()]


def _best(pairs: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    """The first rows (first, second, cosine) in the order in which they are told."""
    if len(pairs) > most:  # sorting all pairs of a film would take longer than comparing them
        pairs = pairs[np.argpartition(-pairs[:, 2], most)[:most]]
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0], -pairs[:, 2]))]


def _compare(unit: Floats, sieve: Floats, block: tuple[int, int], alike: float) -> NDArray[np.float64]:
    """The pairs of two blocks of rows, (m, 3)."""
    a, b = block
    bound = sieve[a : a + BLOCK] @ sieve[b : b + BLOCK].T
    places = np.flatnonzero(bound >= np.float32(alike - 1e-4))  # what rounding may hide
    first, second = a + places // bound.shape[1], b + places % bound.shape[1]
    first, second = first[first < second], second[first < second]
    if len(first) > DENSE:
        cosines = (unit[a : a + BLOCK] @ unit[b : b + BLOCK].T)[first - a, second - b]
    else:
        cosines = np.einsum("nd,nd->n", unit[first], unit[second])
    found = cosines >= alike
    return np.stack([first[found], second[found], cosines[found].astype(np.float64)], axis=1)


def _unit(features: Floats) -> Floats:
    """Standardised rows of length 1; a row of nothing but means stays 0."""
    x: Floats = features - features.mean(axis=0, dtype=np.float64).astype(np.float32)
    blocks = (x[start : start + BLOCK] for start in range(0, len(x), BLOCK))  # no second array as large as x
    std = np.sqrt(sum(np.square(block).sum(axis=0, dtype=np.float64) for block in blocks) / len(x))
    x /= np.where(std > 1e-6, std, 1).astype(np.float32)
    x /= np.maximum(np.sqrt(np.einsum("nd,nd->n", x, x)), np.float32(1e-12))[:, None]
    return x


def _sieve(unit: Floats) -> Floats:
    """Rows projected on the axes along which a sample varies most, with the length of the rest as one more number."""
    sample = unit[:: max(1, len(unit) // SAMPLE)]
    start = np.random.default_rng(0).standard_normal((len(sample), min(AXES, *sample.shape)), np.float32)
    axes = np.linalg.qr(sample.T @ start)[0]
    axes = np.linalg.qr(sample.T @ (sample @ axes))[0]  # a power step: more of the variance in as many axes
    inside = unit @ axes
    squares = [np.einsum("nd,nd->n", rows, rows) for rows in (unit, inside)]
    rest = np.sqrt(np.maximum(squares[0] - squares[1], 0))
    return np.ascontiguousarray(np.concatenate([inside, rest[:, None]], axis=1), np.float32)

"""Is one classifier better than another on the same images?"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError, UsageError
from .shares import Z


class Paired(NamedTuple):
    """Two classifiers, a and b, on the same n images.

    Attributes:
        difference: top-1 of a minus top-1 of b, a share in [-1, 1].
        low, high: its 95 % interval.
        a_only, b_only: images that a alone got right, that b alone got right.
        n: images.
        p_value: McNemar's exact two-sided test that neither is better.
    """

    difference: float
    low: float
    high: float
    a_only: int
    b_only: int
    n: int
    p_value: float

    @property
    def noise(self) -> float:
        """Standard error of the difference, by the same adjustment as its interval."""
        return _standard_error(self.a_only, self.b_only, self.n)


def compare(correct_a: NDArray[np.bool_], correct_b: NDArray[np.bool_]) -> Paired:
    """Compare two classifiers by which of the same images, in the same order, each got right; both bool (n,).

    The interval is the adjusted Wald interval of Bonett and Price (2012), Journal of Educational and Behavioral
    Statistics 37(4), 479-488: one image is added to each kind of disagreement. It and the test are different tools,
    and may disagree at the border of significance.

    Raises:
        DataError: there is no image.
        UsageError: the arrays are not booleans of one shape (n,).
    """
    for name, correct in (("correct_a", correct_a), ("correct_b", correct_b)):
        if correct.dtype != np.bool_ or correct.ndim != 1:
            raise UsageError(f"{name} must be booleans of shape (n,), got {correct.dtype} of shape {correct.shape}")
    if len(correct_a) != len(correct_b):
        raise UsageError(
            f"correct_b must be of the same images, {len(correct_a)} as in correct_a, got {len(correct_b)}"
        )
    n = len(correct_a)
    if n == 0:
        raise DataError("correct_a and correct_b have no image to compare; choose a split that has images")
    a_only = int(np.count_nonzero(correct_a & ~correct_b))
    b_only = int(np.count_nonzero(correct_b & ~correct_a))
    low, high = _bonett_price(a_only, b_only, n)
    return Paired((a_only - b_only) / n, low, high, a_only, b_only, n, mcnemar(a_only, b_only))


def _bonett_price(a_only: int, b_only: int, n: int) -> tuple[float, float]:
    centre, half = (a_only - b_only) / (n + 2), Z * _standard_error(a_only, b_only, n)
    return max(-1.0, centre - half), min(1.0, centre + half)


def _standard_error(a_only: int, b_only: int, n: int) -> float:
    share_a, share_b = (a_only + 1) / (n + 2), (b_only + 1) / (n + 2)
    return math.sqrt((share_a + share_b - (share_a - share_b) ** 2) / (n + 2))


def mcnemar(a_only: int, b_only: int) -> float:
    """Give the exact two-sided p-value: twice the smaller tail of Binomial(a_only + b_only, 1/2), at most 1.

    Source: McNemar (1947), Psychometrika 12(2), 153-157, in its exact binomial form.
    """
    m = a_only + b_only
    term = tail = 1  # C(m, 0); whole numbers, so that nothing overflows or is rounded before the division
    for k in range(min(a_only, b_only)):
        term = term * (m - k) // (k + 1)
        tail += term
    return min(1.0, 2 * tail / (1 << m))

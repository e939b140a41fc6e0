"""A share of images with its interval."""

import math
from typing import NamedTuple

LEVEL = 0.95  # of every interval in this package
FEW_IMAGES = 150  # with fewer, one image more or less moves a share by more than most people expect
Z = 1.959963984540054  # the normal quantile at (1 + LEVEL) / 2; importing `statistics` for it would cost 10 ms


class Interval(NamedTuple):
    """A measured value and the ends of its 95 % interval.

    Attributes:
        value: what was measured; nan where there was nothing to measure.
        low, high: the ends, low <= value <= high; the whole range of the quantity where the value is nan.
    """

    value: float
    low: float
    high: float


UNKNOWN_SHARE = Interval(math.nan, 0.0, 1.0)


def wilson(successes: int, n: int) -> Interval:
    """Measure a share in [0, 1] with Wilson's score interval.

    The low end is exactly 0 without a success, the high end exactly 1 without a failure. Of no trials at all, n = 0,
    the value is nan, and the interval is all of [0, 1].

    Source: Wilson (1927), Journal of the American Statistical Association 22(158), 209-212.

    >>> wilson(9, 10)
    Interval(value=0.9, low=0.5958499732047615, high=0.9821237869049271)
    """
    assert 0 <= successes <= n
    if n == 0:
        return UNKNOWN_SHARE
    share = successes / n
    scale = 1 + Z * Z / n
    centre = (share + Z * Z / (2 * n)) / scale
    half = Z * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n)) / scale
    # at the two ends the formula gives 0 and 1 but for rounding
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == n else centre + half
    return Interval(share, low, high)

"""The three numbers that a classifier keeps of its costs."""

from typing import NamedTuple


class Totals(NamedTuple):
    """What one image costs at inference.

    Attributes:
        params: learnable numbers, buffers excluded.
        macs: multiply-accumulates of convolutions and matrix products.
        weight_bytes: of the learnable numbers, as stored.
    """

    params: int
    macs: int
    weight_bytes: int

"""What a training does to each part of a network, to be told."""

from typing import NamedTuple


class Piece(NamedTuple):
    """A stage, or the part of one that is treated alike.

    Attributes:
        stage: "stem", "stage3", "head".
        blocks: how many of its blocks.
        state: "frozen"; "trained", from the published weights on; "re-initialised"; "new".
        params, macs: of it.
    """

    stage: str
    blocks: int
    state: str
    params: int
    macs: int

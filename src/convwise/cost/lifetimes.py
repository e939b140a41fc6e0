"""Which tensors are needed when, and how much memory that takes."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple


class Lifetime(NamedTuple):
    """A piece of memory for activations, and the operators between which it is needed.

    Attributes:
        bytes: its size.
        first: index of the operator that first writes to it; 0 for the input.
        last: index of the last operator that reads it; the last of all for a result.
    """

    bytes: int
    first: int
    last: int


@dataclass
class Step:
    """One operator in the order of execution, views left out; tensors of activations are numbered.

    Attributes:
        layer: number of the layer that it belongs to.
        reads: tensors that it reads, and how many bytes of each.
        makes: tensors that it makes.
        in_place: its output may take the place of an input of the same size that nobody needs any more.
    """

    layer: int
    reads: Mapping[int, int]
    makes: Sequence[int]
    in_place: bool = False


def last_uses(steps: Sequence[Step], results: Collection[int]) -> dict[int, int]:
    """Index of the last operator that needs each tensor; the input is always in it, what nobody needs is not."""
    last = {0: 0}
    for i, step in enumerate(steps):
        last.update(dict.fromkeys(step.reads, i))
    return last | dict.fromkeys(results, max(len(steps) - 1, 0))


def lifetimes(sizes: Sequence[int], steps: Sequence[Step], results: Collection[int]) -> tuple[Lifetime, ...]:
    """Lay tensors into memory: one piece each, or that of the input which they replace; the first piece is the input's.

    Args:
        sizes: bytes of each tensor; tensor 0 is the input.
        steps: the operators.
        results: tensors that are needed after the last operator.
    """
    last = last_uses(steps, results)
    pieces = [Lifetime(sizes[0], 0, last[0])]
    home = {0: 0}
    for i, step in enumerate(steps):
        dying = [tensor for tensor in step.reads if last[tensor] == i] if step.in_place else []
        for made in step.makes:
            if made not in last or not sizes[made]:
                continue
            replaced = next((tensor for tensor in dying if sizes[tensor] == sizes[made]), None)
            if replaced is None:
                home[made] = len(pieces)
                pieces.append(Lifetime(sizes[made], i, last[made]))
            else:
                dying.remove(replaced)
                home[made] = home[replaced]
                pieces[home[made]] = pieces[home[made]]._replace(last=last[made])
    return tuple(pieces)


def peak_bytes(tensors: Iterable[Lifetime]) -> int:
    """Largest sum of pieces that are needed at once."""
    changes: dict[int, int] = {}
    for piece in tensors:
        changes[piece.first] = changes.get(piece.first, 0) + piece.bytes
        changes[piece.last + 1] = changes.get(piece.last + 1, 0) - piece.bytes
    return max(accumulate(changes[i] for i in sorted(changes)))

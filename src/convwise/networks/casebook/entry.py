"""What the casebook knows about a network before it is built."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class Paper(NamedTuple):
    """Where a network was published."""

    title: str
    authors: str
    venue: str
    year: int
    url: str


class Printed(NamedTuple):
    """Costs as a publication prints them; None where it is silent."""

    params: str | None
    macs: str | None
    source: str  # publication and table; what the figure includes where that is known


class Accuracy(NamedTuple):
    """A published result."""

    top1: float  # share in [0, 1]
    protocol: str  # data set and split; crops, scales, networks averaged
    source: str


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One network of the casebook.

    Attributes:
        module: file in `convwise.networks`.
        builder: function in that file; its first argument is `num_classes`.
        fixed: arguments that make this variant of the builder.
        arguments: the builder's other arguments, which a caller may give.
        channels: of the default input.
        resolution: side of the default input, pixels.
        side: gives that side from the caller's arguments, where they move it.
        smallest: side of the smallest square input that it runs on, pixels.
        num_classes: of the paper's data set.
        paper: where it was published.
        idea: what was new in it, in one line.
        params: learnable numbers as counted here, auxiliary heads excluded.
        macs: multiply-accumulates of one image as counted here, at the default input.
        printed: the same two as a publication prints them; None where none does.
        difference: why printed and counted differ; empty where they agree up to rounding.
        accuracy: the published top-1; None where there is none.
    """

    module: str
    builder: str
    fixed: Mapping[str, object] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    channels: int = 3
    resolution: int = 224
    side: Callable[[Mapping[str, object]], int] | None = None
    smallest: int = 1
    num_classes: int = 1000
    paper: Paper
    idea: str
    params: int
    macs: int
    printed: Printed | None = None
    difference: str = ""
    accuracy: Accuracy | None = None

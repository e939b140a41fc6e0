"""What the casebook knows about a network before it is built."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import groupby
from typing import NamedTuple

UNITS = {"": 1, "M": 10**6, "G": 10**9, "B": 10**9}  # of printed figures


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

    def counts(self) -> tuple[int | None, int | None]:
        """Params and MACs as numbers: "0.39 B" is 390,000,000, and what counts something else ("29 MB") is None."""
        return _count(self.params or ""), _count(self.macs or "")


class Accuracy(NamedTuple):
    """A published result."""

    top1: float  # share in [0, 1]
    protocol: str  # data set and split; crops, scales, networks averaged
    source: str
    form: str = ""  # what it is of, with its counts, where that is not the entry's own form

    def percent(self, mark: str = "*") -> str:
        """As many digits as are published, at least one: 56.522 %, 72.0 %; the mark before it where `form` is told."""
        whole, _, digits = f"{100 * self.top1:.3f}".partition(".")
        return f"{mark if self.form else ''}{whole}.{digits.rstrip('0') or '0'} %"


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

    def notes(self) -> list[str]:
        """Where the published figures are from, how they were got, and why they differ from the counted ones."""
        notes = [f"printed: {self.printed.source}."] if self.printed else []
        if self.difference:
            notes.append(f"difference: {self.difference}.")
        if found := self.accuracy:
            of = f"; of {found.form}, not of the counts here" if found.form else ""
            notes.append(f"top-1: {found.protocol} ({found.source}){of}.")
        return notes


def shared(notes: Mapping[str, list[str]], quote: str = "") -> list[str]:
    """Each note once, behind the names that it is of unless it is of all.

    Args:
        notes: of each network by its name; three names or more that follow one another here become "first to last".
        quote: is put around each name.
    """
    whose: dict[str, list[str]] = {}
    for name, lines in notes.items():
        for line in lines:
            whose.setdefault(line, []).append(name)
    order = list(notes)
    return [f"{_span(names, order, quote)}{line}" for line, names in whose.items()]


def _span(names: list[str], order: list[str], quote: str) -> str:
    if names == order:
        return ""
    found = []
    for _, run in groupby(enumerate(names), key=lambda pair: order.index(pair[1]) - pair[0]):
        near = [f"{quote}{name}{quote}" for _, name in run]
        found += [f"{near[0]} to {near[-1]}"] if len(near) > 2 else near
    return f"{', '.join(found)}: "


def _count(printed: str) -> int | None:
    number, _, unit = printed.partition(" ")
    return int(Decimal(number.replace(",", "")) * UNITS[unit]) if number and unit in UNITS else None

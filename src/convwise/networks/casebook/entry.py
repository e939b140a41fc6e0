"""What the casebook knows about a network before it is built."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple, cast

UNITS = {"": 1, "M": 10**6, "G": 10**9, "B": 10**9}  # of printed figures
KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a word"}  # of arguments


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

    printed: str  # top-1 in per cent, with as many digits as are published
    protocol: str  # data set and split; crops, scales, networks averaged
    source: str
    form: str = ""  # what it is of, with its counts, where that is not the entry's own form

    @property
    def top1(self) -> float:
        """Share in [0, 1]."""
        return float(Decimal(self.printed) / 100)

    def percent(self, mark: str = "*") -> str:
        """The printed figure; the mark before it where `form` is told."""
        return f"{mark if self.form else ''}{self.printed} %"


class Argument(NamedTuple):
    """An argument of a builder that a caller may give."""

    kind: type  # of its value; None may stand for it where that is the default
    default: object
    meaning: str  # in one line
    range: tuple[float, float] | None = None  # least and most that a number may be

    def takes(self, value: object) -> bool:
        """Whether a value is of the kind and in the range; a bool is no number here."""
        if value is None:
            return self.default is None
        fits = type(value) is self.kind or (self.kind is float and type(value) is int)
        return fits and (self.range is None or self.range[0] <= cast("float", value) <= self.range[1])

    def words(self) -> str:
        """What it takes: "a number from 0 to 1", "true or false"."""
        among = f" from {self.range[0]:,} to {self.range[1]:,}" if self.range else ""
        return f"{KINDS[self.kind]}{among}{' or none' if self.default is None else ''}"

    def usual(self) -> str:
        """The default as the command line has it."""
        return self.default if isinstance(self.default, str) else str(self.default).lower()


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One network of the casebook.

    Attributes:
        module: file in `convwise.networks`.
        builder: function in that file; its first argument is `num_classes`.
        fixed: arguments that make this variant of the builder.
        arguments: the builder's other arguments, which a caller may give, by their names.
        channels: of the default input.
        resolution: side of the default input, pixels.
        side: gives that side from the caller's arguments, where they move it.
        smallest: side of the smallest square input that it runs on, built for that side where `resolution` is among its
            arguments, pixels.
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
    arguments: Mapping[str, Argument] = field(default_factory=dict)
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
        notes: of each network by its name.
        quote: is put around each name.
    """
    whose: dict[str, list[str]] = {}
    for name, lines in notes.items():
        for line in lines:
            whose.setdefault(line, []).append(name)
    heads = {line: ", ".join(f"{quote}{name}{quote}" for name in names) for line, names in whose.items()}
    return [line if len(whose[line]) == len(notes) else f"{heads[line]}: {line}" for line in whose]


def _count(printed: str) -> int | None:
    number, _, unit = printed.partition(" ")
    return int(Decimal(number.replace(",", "")) * UNITS[unit]) if number and unit in UNITS else None


# What several papers' builders take.
PROBABILITY = (0, 1)
# Ten thousand: a spectrum has hundreds, and beyond it the first kernel alone fills a machine.
IN_CHANNELS = Argument(int, 3, "channels of the image: 3 in colour, 1 in grey", (1, 10_000))
HIDDEN_DROPOUT = Argument(
    float, 0.5, "probability after each of the two hidden linear layers, in training", PROBABILITY
)
SAME = Argument(bool, False, "pad as TensorFlow does instead of symmetrically")
EPS = Argument(float, 1e-5, "what batch norm adds to the variance", (1e-12, 1))
# Of MobileNet's width: a stem of one channel, before it is rounded; a thousand times the paper's cost.
WIDTHS = (1 / 32, 32)

"""How large the boxes of a network's feature maps are drawn, what each needs beside it, and which share a row.

A box is drawn in cabinet projection: channels to the right, height upwards, width at 45 degrees and half its length.
Lengths are in pixels of the drawing.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from . import lettering

TALLEST, THICKEST, LONGEST = 140, 72, 260  # largest side; map with most channels; longest vector
PIXEL, THIN = 16, 24  # longest pixel; a vector is cut rather than the map with most channels drawn thinner
OBLIQUE = math.sqrt(0.5) / 2
SLABS, STACK = 6, 260  # equal maps are drawn side by side, up to this number and this length
SLIT, SKIP, CUT = 5, 34, 14  # between slabs; between first and last where the others are left out; inside a cut
FONT = {"title": 22, "size": 16, "op": 15, "faint": 15}  # size of each kind of text
PAD, LABEL, ARROW = 14, 124, 40  # beside a box; room of a label; shortest arrow
TIMES = "\u00d7"


class Volume(NamedTuple):
    """A feature map, or a vector as a map of one pixel.

    Attributes:
        channels, height, width: of one image.
        label: what made it, such as "conv 3x3"; stands at the arrow before it.
        group: the stage that it belongs to; neighbours of one group share a panel. "" for none.
        kind: "input", "conv", "pool", "block" or "linear"; chooses the colour.
        repeats: equal ones in a row that it stands for.
    """

    channels: int
    height: int
    width: int
    label: str
    group: str
    kind: str
    repeats: int = 1


class Column(NamedTuple):
    """A volume and what is before and below it: as wide as they need."""

    volume: Volume
    lines: list[str]  # the label, wrapped: at the arrow, or below the size where there is no arrow
    parts: list[tuple[float, float]]  # begin, from the left of the body, and thickness of each slab
    gap: str  # what is between two parts: "cut" (they are one), "dots" (for slabs left out) or nothing
    back: float
    height: float
    lead: float  # from the left of the column to the body; the arrow also takes the tail of the column before
    body: float
    tail: float
    more: float  # what the lead needs more of where the column begins a row
    first: bool

    @property
    def width(self) -> float:
        """From the arrow to the end of what is below."""
        return self.lead + self.body + self.tail


def scales(volumes: "Sequence[Volume]") -> tuple[float, float]:
    """Length of one pixel of a map, and of one channel."""
    side = max(max(v.height, v.width) for v in volumes)
    most = max(v.channels for v in volumes)
    thick = max((v.channels for v in volumes if not _is_vector(v)), default=most)
    pixel = min(TALLEST / side, PIXEL)
    return pixel, min(pixel, THICKEST / thick, max(LONGEST / most, THIN / thick))


def column(volume: Volume, pixel: float, channel: float, before: Column | None) -> Column:
    """Measure a volume, given the scales and what is before it."""
    back, thickness = OBLIQUE * volume.width * pixel, volume.channels * channel
    parts, gap = _parts(volume, thickness, back)
    body = sum(parts[-1]) + back
    lines = lettering.wrap(volume.label, FONT["op"], LABEL, 3)
    label = max((lettering.width(line, FONT["op"]) for line in lines), default=0.0)
    below = max(lettering.width(size_of(volume), FONT["size"]), 0.0 if before else label)
    beside = max(PAD, (below - body) / 2 + 6)
    whole = max(beside, label + PAD, ARROW) if before else beside
    within = before is not None and before.volume.group == volume.group
    lead = max(beside, label + PAD - before.tail, ARROW / 2) if before and within else whole
    return Column(
        volume, lines, parts, gap, back, volume.height * pixel, lead, body, beside, whole - lead, before is None
    )


def _parts(volume: Volume, thickness: float, back: float) -> tuple[list[tuple[float, float]], str]:
    """Begin and thickness of each slab, and what is left out between them."""
    n = volume.repeats
    if thickness > LONGEST:  # a vector: no map is as thick
        half = (LONGEST - CUT) / 2
        return [(0.0, half), (half + CUT, half)], "cut"
    if n > 1 and (n > SLABS or n * (thickness + SLIT) > STACK):
        return [(0.0, thickness), (thickness + back + SKIP, thickness)], "dots"
    return [(i * (thickness + SLIT), thickness) for i in range(n)], ""


def rows(columns: list[Column], room: float) -> Iterator[list[Column]]:
    """As few rows as it takes, alike in width, that end where a stage ends if they can; each fills the page."""
    best = [(0.0, 0)]  # cost of the columns up to here, and where their last row begins
    for end in range(1, len(columns) + 1):
        choices = []
        for begin in range(end - 1, -1, -1):
            left = room - _width(columns[begin:end])
            if left < 0 and end - begin > 1:
                break
            within = begin > 0 and columns[begin - 1].volume.group == columns[begin].volume.group != ""
            choices.append((best[begin][0] + 10 + (left / room) ** 2 + 0.2 * within, begin))
        best.append(min(choices))
    begins, end = [len(columns)], len(columns)
    while end:
        end = best[end][1]
        begins.insert(0, end)
    for begin, end in pairwise(begins):
        row = columns[begin:end]
        more = min((room - _width(row)) / max(len(row) - row[0].first, 1), 90)
        leads = [column.lead + more * (not column.first) for column in row]
        leads[0] += row[0].more
        yield [column._replace(lead=lead) for column, lead in zip(row, leads, strict=True)]


def _width(row: list[Column]) -> float:
    return row[0].more + sum(column.width for column in row)


def about(volume: Volume) -> str:
    """What made a volume, how many there are, and the size of each."""
    count = f" {TIMES}{volume.repeats}" if volume.repeats > 1 else ""
    return f"{volume.label}{count}: {size_of(volume)}"


def size_of(volume: Volume) -> str:
    """Height, width and channels; a vector has channels alone."""
    sizes = (volume.channels,) if _is_vector(volume) else (volume.height, volume.width, volume.channels)
    return TIMES.join(map(str, sizes))


def _is_vector(volume: Volume) -> bool:
    return volume.height == volume.width == 1

"""Where everything stands in the picture of a network. Lengths are in pixels of the drawing; y grows downwards."""

import math
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from ..data import text
from . import boxes, lettering
from .boxes import FONT, LONGEST, OBLIQUE, PAD, SKIP, TIMES, Column
from .words import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .boxes import Volume

WIDTH, MARGIN, LINE = 1000, 16, 19
NAMES = {"input": "input", "conv": "convolution", "pool": "pooling", "block": "block of layers", "linear": "linear"}


class Slab(NamedTuple):
    """One box: upper left corner of its front, and how far right and up its back is."""

    x: float
    y: float
    thickness: float
    height: float
    back: float
    kind: str
    about: str  # for a pointer that rests on it


class Words(NamedTuple):
    """A line of text: x is its middle for kinds "size" and "op", its begin for the others; y is the baseline."""

    x: float
    y: float
    kind: str
    line: str


class Drawing:
    """All that the picture shows, in the order of painting within each list; y grows downwards."""

    def __init__(self, title: str, about: str) -> None:
        self.title, self.about, self.height = title, about, 0
        self.panels: list[tuple[float, float, float, float]] = []  # x, y, width, height
        self.slabs: list[Slab] = []
        self.words: list[Words] = []
        self.arrows: list[tuple[float, float, float]] = []  # x of both ends, y
        self.dots: list[tuple[float, float]] = []  # centres of what stands for slabs left out
        self.cuts: list[tuple[float, float]] = []  # centres
        self.bars: list[tuple[float, float, float, float]] = []  # legend: from x, y by so much right and up
        self.swatches: list[tuple[float, float, str]] = []  # legend: upper left corner, kind


def arrange(volumes: "Sequence[Volume]", title: str) -> Drawing:
    """Lay out volumes, at least one, in rows."""
    shown = [v._replace(label=text.visible(v.label), group=text.visible(v.group)) for v in volumes]
    drawing = Drawing(text.visible(title), "; ".join(map(boxes.about, shown)))
    room = WIDTH - 2 * MARGIN
    y = MARGIN + 20.0
    drawing.words.append(Words(MARGIN, y, "title", lettering.clip(drawing.title, FONT["title"], room)))
    pixel, channel = boxes.scales(shown)
    columns: list[Column] = []
    for volume in shown:
        columns.append(boxes.column(volume, pixel, channel, columns[-1] if columns else None))
    y += PAD
    after = ""
    for row in boxes.rows(columns, room):
        y = _row(drawing, row, y, after) + 8
        after = row[-1].volume.group
    drawing.height = math.ceil(_legend(drawing, pixel, channel, y) + MARGIN)
    return drawing


def _row(drawing: Drawing, row: list[Column], top: float, after: str) -> float:
    """Draw a row below `top`, the one before which ended in the group `after`; the y of its end."""
    up, down = (max(c.height + c.back for c in row) / 2,) * 2
    if not all(column.first for column in row):
        up, down = max(up, 2 * LINE + 8), max(down, (LINE + 8 if any(map(_below, row)) else 0))
    axis = top + (30 if any(c.volume.group for c in row) else 8) + up
    base = axis + down + LINE + 6
    bottom = base + 10 + LINE * len(row[0].lines) * row[0].first
    x, before = float(MARGIN), MARGIN + 1.0
    for group, members in groupby(row, key=lambda column: column.volume.group):
        left = x
        for column in members:
            if not column.first:
                _arrow(drawing, column, x, before, axis, begins=x == left)
            _body(drawing, column, x, axis, base)
            before = x + column.lead + column.body
            x += column.width
        if group:
            drawing.panels.append((left + 2, top, x - left - 4, bottom - top))
            name = f"{group}, continued" if group == after and left == MARGIN else group
            name = lettering.clip(name, FONT["faint"], x - left - 20)
            drawing.words.append(Words(left + 10, top + LINE + 1, "faint", name))
    return bottom


def _arrow(drawing: Drawing, column: Column, x: float, before: float, axis: float, *, begins: bool) -> None:
    """The arrow from the body before, with what it does above and how often below."""
    drawing.arrows.append((before + 5, x + column.lead - 5, axis))
    middle = (before + x + column.lead) / 2
    if begins:  # the words stay in the panel
        half = max((lettering.width(line, FONT["op"]) for line in column.lines), default=0.0) / 2
        middle = max(middle, x + half + 6)
    above = column.lines[:2]
    drawing.words += [Words(middle, axis - 9 - LINE * (len(above) - 1 - i), "op", line) for i, line in enumerate(above)]
    drawing.words += [Words(middle, axis + LINE + LINE * i, "op", line) for i, line in enumerate(_below(column))]


def _body(drawing: Drawing, column: Column, x: float, axis: float, base: float) -> None:
    volume, left = column.volume, x + column.lead
    front = axis - (column.height - column.back) / 2
    for begin, thickness in column.parts:
        drawing.slabs.append(
            Slab(left + begin, front, thickness, column.height, column.back, volume.kind, boxes.about(volume))
        )
    if column.gap == "cut":
        drawing.cuts.append((left + LONGEST / 2, axis))
    if column.gap == "dots":
        drawing.dots.append((left + column.parts[-1][0] - SKIP / 2, axis))
    middle = left + column.body / 2
    drawing.words.append(Words(middle, base, "size", boxes.size_of(volume)))
    if column.first:
        lines = enumerate(column.lines, 1)
        drawing.words += [Words(middle, base + LINE * i, "op", line) for i, line in lines]


def _legend(drawing: Drawing, pixel: float, channel: float, y: float) -> float:
    """Both scales and the colours, below `y`; the y of the end."""
    side, depth = _bar(pixel, 44), _bar(channel, 60)
    up, right = side * pixel, depth * channel
    line, x = y + max(up, LINE) + 10, float(MARGIN)
    drawing.bars += [(x + 4, line, 0, up), (x + 4, line, up * OBLIQUE, up * OBLIQUE)]
    x += 14 + up * OBLIQUE
    x = _note(drawing, x, line, f"{plural(side, 'pixel')} high and {side:,} wide (going back, at half length)")
    drawing.bars.append((x, line - 5, right, 0))
    _note(drawing, x + right + 10, line, f"{plural(depth, 'channel')} thick")
    line, x = line + LINE + 10, float(MARGIN)
    used = {slab.kind for slab in drawing.slabs}
    for kind in (kind for kind in NAMES if kind in used):
        drawing.swatches.append((x, line - 12, kind))
        x = _note(drawing, x + 20, line, NAMES[kind])
    if drawing.cuts:
        drawing.cuts.append((x + 6, line - 5))
        x = _note(drawing, x + 20, line, "longer than drawn")
    if drawing.dots:
        drawing.dots.append((x + 12, line - 5))
        _note(drawing, x + 32, line, "equal ones left out")
    return line + 4


def _note(drawing: Drawing, x: float, y: float, line: str) -> float:
    """Print a line of the legend; where the next one may begin."""
    drawing.words.append(Words(x, y, "faint", line))
    return x + lettering.width(line, FONT["faint"]) + 20


def _bar(unit: float, room: float) -> int:
    """The largest power of two of units that fits, at least one."""
    return 1 << max(0, math.floor(math.log2(room / unit)))


def _below(column: Column) -> list[str]:
    """What stands below the arrow."""
    count = [f"{TIMES}{column.volume.repeats}"] if column.volume.repeats > 1 else []
    return [] if column.first else column.lines[2:] + count

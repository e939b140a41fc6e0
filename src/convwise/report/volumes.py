"""Feature maps as boxes, drawn to scale: SVG without scripts, fonts or pictures of its own, light and dark."""

from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby
from typing import NamedTuple
from xml.sax.saxutils import escape

WIDTH = 1100  # of the drawing, as all that follows in pixels of the drawing
TALLEST, THICKEST = 150, 70  # a side of the largest map, and the thickness of the one with most channels
LONGEST = 130  # a box that would be thicker is broken
OBLIQUE = 0.32  # of its length is how far a line that goes backwards moves right and up
LETTER, LINE = 6.2, 14  # of the text
GAP, MARGIN = 14, 24


class Volume(NamedTuple):
    """A feature map, or a vector as a map of one pixel.

    Attributes:
        channels, height, width: of one image.
        label: what made it, such as "conv 3x3".
        group: the stage that it belongs to; neighbours of one group are framed together.
        kind: "input", "conv", "pool", "block" or "linear"; chooses the colour.
        repeats: equal ones that it stands for.
    """

    channels: int
    height: int
    width: int
    label: str
    group: str
    kind: str
    repeats: int = 1


class _Box(NamedTuple):
    """A volume with its place: left edge of its column, and the column's width."""

    volume: Volume
    x: float
    column: float
    thickness: float  # of the front face, as drawn
    broken: bool


class _Scale(NamedTuple):
    pixel: float  # length of one pixel of a map
    channel: float  # thickness of one channel


def collapse(volumes: Sequence[Volume]) -> list[Volume]:
    """Join neighbours that are alike in everything into one that tells how many they are."""
    return [volume._replace(repeats=len(list(alike))) for volume, alike in groupby(volumes)]


def draw(volumes: Sequence[Volume], title: str) -> str:
    """Draw volumes from left to right, in rows, as an SVG document.

    Heights and widths have one scale and thicknesses (channels) another, both linear and both in the legend. A box of
    more channels than fit is broken, and one of less than a line is a line.
    """
    scale = _scale(volumes)
    rows = list(_rows(volumes, scale))
    parts: list[str] = []
    y = float(MARGIN + 2 * LINE)
    for row in rows:
        height = max(30.0, *(_rise(box.volume, scale) for box in row)) + 4.3 * LINE
        parts += _row(row, scale, y, height)
        y += height + GAP
    parts += _legend(scale, y)
    bottom = y + 2 * LINE + MARGIN
    sizes = ", ".join(f"{v.label} {_size(v)}" for v in volumes)
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom:.0f}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<desc>{escape(sizes)}</desc>",
        f"<style>{STYLE}</style>",
        f'<rect class="page" width="{WIDTH}" height="{bottom:.0f}"/>',
        f'<text class="title" x="{MARGIN}" y="{MARGIN + 4}">{escape(title)}</text>',
        *parts,
        "</svg>",
        "",
    ])  # fmt: skip


STYLE = """
text { font: 11px system-ui, sans-serif; fill: #333; text-anchor: middle }
.title { font-size: 16px; font-weight: 600; text-anchor: start } .left { text-anchor: start }
.strong { font-weight: 600 } .faint { fill: #767676 }
.page { fill: #fff } .stage { fill: #f4f4f2 } .arrow { stroke: #8a8a8a; fill: none }
.box { stroke: #333; stroke-width: .7; stroke-linejoin: round }
.input { fill: #d8d8d4 } .conv { fill: #8fb8de } .pool { fill: #f0b27a } .block { fill: #b9a3dc }
.linear { fill: #8ccba5 }
.top { fill: #fff; fill-opacity: .38; stroke: none } .side { fill: #000; fill-opacity: .16; stroke: none }
@media (prefers-color-scheme: dark) {
text { fill: #ddd } .faint { fill: #9a9a9a } .page { fill: #161616 } .stage { fill: #222 } .box { stroke: #ddd }
.input { fill: #666 } .conv { fill: #2f6ea8 } .pool { fill: #b06a25 } .block { fill: #6f55a5 } .linear { fill: #2f8557 }
.top { fill-opacity: .2 } .side { fill-opacity: .3 } }
""".strip()


def _scale(volumes: Sequence[Volume]) -> _Scale:
    maps = [v for v in volumes if v.height * v.width > 1] or volumes
    side = max(max(v.height, v.width) for v in volumes)
    return _Scale(TALLEST / side, min(1.0, THICKEST / max(v.channels for v in maps)))


def _rows(volumes: Sequence[Volume], scale: _Scale) -> Iterator[list[_Box]]:
    """Columns as wide as box or label need, wrapped where the page ends, before a stage where that is possible."""
    row: list[_Box] = []
    for _, members in groupby(volumes, key=lambda volume: volume.group):
        boxes = [_sized(volume, scale) for volume in members]
        if row and sum(box.column for box in row + boxes) > WIDTH - 2 * MARGIN:
            yield _placed(row)
            row = []
        for box in boxes:
            if sum(b.column for b in row) + box.column > WIDTH - 2 * MARGIN:
                yield _placed(row)
                row = []
            row.append(box)
    yield _placed(row)


def _sized(volume: Volume, scale: _Scale) -> _Box:
    thickness = max(1.0, volume.channels * scale.channel)
    drawn = min(thickness, float(LONGEST))
    words = max(len(line) for line in _words(volume)) * LETTER
    column = max(drawn + OBLIQUE * volume.width * scale.pixel, words) + GAP
    return _Box(volume, 0, column, drawn, broken=thickness > LONGEST)


def _placed(row: Sequence[_Box]) -> list[_Box]:
    lefts = accumulate((box.column for box in row), initial=float(MARGIN))
    return [box._replace(x=left) for box, left in zip(row, lefts, strict=False)]


def _row(row: Sequence[_Box], scale: _Scale, top: float, height: float) -> Iterator[str]:
    """Frames of the stages, boxes on one axis with arrows between them, labels below."""
    axis = top + 1.3 * LINE + (height - 4.3 * LINE) / 2
    for group, members in groupby(row, key=lambda box: box.volume.group):
        boxes = list(members)
        left, width = boxes[0].x + 2, boxes[-1].x + boxes[-1].column - boxes[0].x - 4
        yield f'<rect class="stage" x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" rx="5"/>'
        yield f'<text class="left faint" x="{left + 6:.1f}" y="{top + LINE:.1f}">{escape(group)}</text>'
    for i, box in enumerate(row):
        if i:
            yield _arrow(row[i - 1], box, scale, axis)
        yield from _box(box, scale, axis)
        for j, line in enumerate(_words(box.volume)):
            place = f'x="{box.x + box.column / 2:.1f}" y="{top + height + (j - 1.4) * LINE:.1f}"'
            yield f'<text class="{"" if j else "strong"}" {place}>{escape(line)}</text>'


def _box(box: _Box, scale: _Scale, axis: float) -> Iterator[str]:
    """Front, top and right side; the front's lower left corner is where the box begins."""
    height, back = max(1.0, box.volume.height * scale.pixel), OBLIQUE * max(1.0, box.volume.width * scale.pixel)
    left = box.x + (box.column - box.thickness - back) / 2
    right, bottom = left + box.thickness, axis + (height + back) / 2
    top = bottom - height
    front = _points((left, top), (right, top), (right, bottom), (left, bottom))
    above = _points((left, top), (left + back, top - back), (right + back, top - back), (right, top))
    beside = _points((right, bottom), (right, top), (right + back, top - back), (right + back, bottom - back))
    for face, shade in ((front, ""), (above, "top"), (beside, "side")):
        yield f'<polygon class="box {box.volume.kind}" points="{face}"/>'
        if shade:
            yield f'<polygon class="{shade}" points="{face}"/>'
    if box.broken:
        yield f'<text class="strong" x="{(left + right) / 2:.1f}" y="{bottom + 4:.1f}">//</text>'


def _arrow(before: _Box, box: _Box, scale: _Scale, axis: float) -> str:
    start = before.x + (before.column + before.thickness + OBLIQUE * before.volume.width * scale.pixel) / 2 + 2
    end = box.x + (box.column - box.thickness - OBLIQUE * box.volume.width * scale.pixel) / 2 - 2
    return f'<path class="arrow" d="M{start:.1f} {axis:.1f}H{end:.1f}m-4 -3l4 3l-4 3"/>'


def _legend(scale: _Scale, y: float) -> Iterator[str]:
    """Two bars that tell the two scales."""
    x = float(MARGIN)
    for unit, length in (("pixels of height and width", scale.pixel), ("channels of thickness", scale.channel)):
        count = next(n for n in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if n * length >= 24)
        yield f'<path class="arrow" d="M{x:.1f} {y + 6:.1f}v6h{count * length:.1f}v-6"/>'
        yield f'<text class="left faint" x="{x + count * length + 8:.1f}" y="{y + 14:.1f}">{count} {unit}</text>'
        x += count * length + 8 + LETTER * len(f"{count} {unit}") + 30


def _rise(volume: Volume, scale: _Scale) -> float:
    return (volume.height + OBLIQUE * volume.width) * scale.pixel


def _words(volume: Volume) -> tuple[str, str]:
    times = f" (\N{MULTIPLICATION SIGN}{volume.repeats})" if volume.repeats > 1 else ""
    return _size(volume), volume.label + times


def _size(volume: Volume) -> str:
    sides = (volume.height, volume.width, volume.channels) if volume.height * volume.width > 1 else (volume.channels,)
    return "\N{MULTIPLICATION SIGN}".join(map(str, sides))


def _points(*points: tuple[float, float]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)

"""A network as the boxes of its feature maps, to scale: what to draw, and the SVG.

The drawing needs no script, font or other file, and follows the reader's light or dark theme. Labels may be hostile.
"""

import functools
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from . import layout, templates
from .boxes import Volume

if TYPE_CHECKING:
    import jinja2

MOST = 26  # volumes in a picture, beyond which several are drawn as one


def merge(volumes: Sequence[Volume]) -> list[Volume]:
    """Make one of neighbours that are alike, with their number; vectors stay, for they are drawn end to end."""
    return _fold(volumes, _alike)


def collapse(volumes: Sequence[Volume], most: int = MOST) -> list[Volume]:
    """Choose what to draw: every map, those alike merged, or less where that would be more than `most`.

    Then each stage becomes its last map, or, if need be, each resolution does, labelled with the number of its steps.
    What they are is lost so: a network of many blocks is better passed block by block.
    """
    found = merge(volumes)
    for same in (_stage, _resolution):
        if len(found) > most:
            found = _fold(volumes, same)
    return found


def draw(volumes: Sequence[Volume], title: str) -> str:
    """Draw volumes in the order of the data, in rows, as an SVG document.

    Heights, widths and thicknesses (channels) are linear, the first two on one scale and the third on another; the
    legend has both. A vector too long for the page is cut and marked so; its number is printed like the others.

    Args:
        volumes: at least one; `collapse` keeps them few.
        title: is printed above.
    """
    assert volumes
    assert all(min(v.channels, v.height, v.width, v.repeats) > 0 and v.kind in layout.NAMES for v in volumes)
    return _template().render(drawing=layout.arrange(volumes, title), width=layout.WIDTH)


def _fold(volumes: Sequence[Volume], same: Callable[[int, Volume], object]) -> list[Volume]:
    """Make one of neighbours for which `same` is equal: the last, with their number."""
    keyed = ((same(i, volume), volume) for i, volume in enumerate(volumes))
    return [_one([volume for _, volume in run]) for _, run in groupby(keyed, key=lambda pair: pair[0])]


def _one(run: list[Volume]) -> Volume:
    """The last of a run, standing for all of it."""
    total = sum(volume.repeats for volume in run)
    if len({volume._replace(repeats=1) for volume in run}) == 1:
        return run[-1]._replace(repeats=total)
    kinds = {volume.kind for volume in run}
    return run[-1]._replace(label=f"{total} steps", kind=kinds.pop() if len(kinds) == 1 else "block", repeats=1)


def _alike(index: int, volume: Volume) -> object:
    vector = volume.height == volume.width == 1
    return (volume._replace(repeats=1), index if vector else 0)


def _stage(index: int, volume: Volume) -> object:
    return (volume.group, 0 if volume.group else index)


def _resolution(index: int, volume: Volume) -> object:
    return (volume.height, volume.width, volume.kind == "input", index if volume.kind == "linear" else 0)


@functools.cache
def _template() -> "jinja2.Template":
    environment = templates.environment()
    environment.filters["n"] = lambda number: f"{number:.3f}".rstrip("0").rstrip(".")
    return environment.get_template("volumes.svg.jinja")

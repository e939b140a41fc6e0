"""How wide a line of text is where no font can be asked, and how it is wrapped and clipped."""

import unicodedata
from collections.abc import Iterator

ELLIPSIS = "\u2026"
_SHARES = ("il.,:;'|!j", 0.28), ("frt()[]-/ \u00a0", 0.36), ("mw", 0.84), ("MW@%\u2026", 1.0)  # of the font size


def width(line: str, size: float) -> float:
    """Pixels that a line takes at a font size, rather too many than too few for a sans-serif font."""
    return size * sum(map(_share, line))


def clip(line: str, size: float, room: float) -> str:
    """The line, or as much of its beginning as fits, with an ellipsis."""
    if width(line, size) <= room:
        return line
    taken, room = 0.0, room - width(ELLIPSIS, size)
    for i, letter in enumerate(line):
        taken += width(letter, size)
        if taken > room:
            return line[:i].rstrip() + ELLIPSIS
    return line


def wrap(line: str, size: float, room: float, most: int) -> list[str]:
    """At most `most` lines that fit, broken at spaces that may break; the end of what is still too long is left out."""
    lines = list(_wrapped(line, size, room))
    if len(lines) > most:
        lines = [*lines[: most - 1], " ".join(lines[most - 1 :])]
    return [clip(found, size, room) for found in lines]


def _wrapped(line: str, size: float, room: float) -> Iterator[str]:
    taken: list[str] = []
    for word in filter(None, line.split(" ")):
        if taken and width(" ".join([*taken, word]), size) > room:
            yield " ".join(taken)
            taken = []
        taken.append(word)
    if taken:
        yield " ".join(taken)


def _share(letter: str) -> float:
    """Width of a letter over the font size."""
    for letters, share in _SHARES:
        if letter in letters:
            return share
    if unicodedata.combining(letter):
        return 0.0
    if unicodedata.east_asian_width(letter) in "WF":
        return 1.05
    return 0.72 if letter.isupper() else 0.58

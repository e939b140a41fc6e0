"""Names and numbers as text: safe to print, safe in a spreadsheet."""

import csv
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO

# Control characters, line separators, bidi controls, lone surrogates, non-characters: what a file name may hold and
# a terminal or a page must not. Joiners stay: scripts and emoji need them.
_HOSTILE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufff9-\ufffb\ufffe\uffff]"
)
_FORMULA = ("=", "+", "-", "@", "\t", "\n", "\r")


def visible(text: str) -> str:
    """Show hostile characters as Python escapes."""
    return _HOSTILE.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def counted(n: int, one: str, many: str = "") -> str:
    """So many of something: "1 image", "1,200 images", and where an s alone will not do, what `many` says."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def write_rows(file: IO[str], rows: Iterable[Sequence[object]]) -> None:
    """Write rows of CSV to an open file; None becomes an empty cell.

    Text that a spreadsheet would take for a formula (it begins with = + - @ or a control character) gets an
    apostrophe before it, and a carriage return becomes its escape; numbers stay.
    """
    csv.writer(file, lineterminator="\n").writerows([_safe(cell) for cell in row] for row in rows)


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a whole table; bytes of names that are no UTF-8 become escapes."""
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        write_rows(file, [header])
        write_rows(file, rows)


def _safe(cell: object) -> object:
    if not isinstance(cell, str):
        return cell
    return ("'" if cell.startswith(_FORMULA) else "") + cell.replace("\r", "\\r")

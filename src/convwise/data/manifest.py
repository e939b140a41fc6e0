"""A CSV manifest -> samples: `path,label[,split][,group]` in the first line, then one image a line.

Paths are relative to the manifest's folder, or absolute. Samples of one group never stand in two splits.
"""

import csv
import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ..errors import DataError
from .samples import SPLITS, Listing, Sample, natural_key
from .sources import Files

COLUMNS = ("path", "label", "split", "group")


class _Row(NamedTuple):
    """A sample, and the line that it ends on."""

    line: int
    sample: Sample


def list_manifest(manifest: Path) -> Listing:
    """List the images that a manifest names, in natural order of their paths; they are looked for, not opened.

    Raises:
        DataError: the manifest cannot be read, or what it says cannot be: a file that is missing or named twice, a
            group in two splits, an unknown column or split.
    """
    rows = _read(manifest)
    if not rows:
        raise _error(
            manifest, f"names no image; below the line with {','.join(COLUMNS[:2])} it needs one line an image"
        )
    _check_files(manifest, rows)
    _check_splits(manifest, rows)
    samples = sorted((row.sample for row in rows), key=lambda s: natural_key(s.path))
    return Listing(manifest, tuple(samples), Files(manifest.parent))


def _error(manifest: Path, what: str) -> DataError:
    return DataError(f"manifest {str(manifest)!r} {what}")


def _read(manifest: Path) -> list[_Row]:
    reader = None
    try:
        with manifest.open(encoding="utf-8-sig", newline="") as file:  # spreadsheets begin UTF-8 with a mark
            reader = csv.reader(file, strict=True)
            columns = _columns(manifest, next(reader, []))
            return [_row(manifest, reader.line_num, columns, cells) for cells in reader if cells]
    except UnicodeDecodeError as error:
        raise _error(manifest, "is not UTF-8 text; save it as CSV in UTF-8") from error
    except csv.Error as error:
        raise _error(manifest, f"is no CSV on line {reader.line_num if reader else 1}: {error}") from error
    except OSError as error:
        raise _error(manifest, f"cannot be read: {error.strerror or error}") from error


def _columns(manifest: Path, header: Sequence[str]) -> list[str]:
    """Names of the columns, from the first line."""
    columns = [name.strip().lower() for name in header]
    first = (
        f"its first line must name path, label and, where they are wanted, split and group; got {','.join(header)!r}"
    )
    if lacking := [name for name in COLUMNS[:2] if name not in columns]:
        raise _error(manifest, f"has no column {lacking[0]!r}; {first}")
    if unknown := [name for name in columns if name not in COLUMNS]:
        raise _error(manifest, f"has a column {unknown[0]!r}, which means nothing here; {first}")
    if len(set(columns)) < len(columns):
        raise _error(manifest, f"has a column twice; {first}")
    return columns


def _row(manifest: Path, line: int, columns: Sequence[str], cells: Sequence[str]) -> _Row:
    if len(cells) != len(columns):
        raise _error(manifest, f"has {len(cells)} cells on line {line}, and {len(columns)} columns")
    row = dict(zip(columns, cells, strict=True))
    path, (label, split, group) = row["path"], (row.get(name, "").strip() for name in COLUMNS[1:])
    for name, cell in (("path", path), ("label", label)):
        if not cell:
            raise _error(manifest, f"has no {name} on line {line}; take the line out, or fill it in")
    if split and split.lower() not in SPLITS:
        raise _error(manifest, f"has split {split!r} on line {line}; a split must be one of {', '.join(SPLITS)}")
    canonical = SPLITS[split.lower()] if split else None
    return _Row(line, Sample(path, unicodedata.normalize("NFC", label), canonical, group or None))


def _check_files(manifest: Path, rows: Sequence[_Row]) -> None:
    """Check that each row names a file that is there, and no two the same."""
    lines: dict[str, int] = {}
    twice, missing = [], []
    for line, sample in rows:
        path = os.path.normpath(os.path.join(manifest.parent, sample.path))
        if path in lines:
            twice.append((line, sample.path, lines[path]))
        elif not os.path.exists(path):  # False for what can be no path
            missing.append((line, sample.path))
        lines.setdefault(path, line)
    if twice:
        line, name, before = twice[0]
        raise _error(
            manifest,
            f"names {len(twice)} file(s) twice, the first {name!r} on lines {before} and {line}; take one out",
        )
    if missing:
        line, name = missing[0]
        raise _error(
            manifest,
            f"names {len(missing)} of {len(rows)} file(s) that do not exist, the first {name!r} on line {line}; "
            f"a path that is not absolute begins in {str(manifest.parent)!r}",
        )


def _check_splits(manifest: Path, rows: Sequence[_Row]) -> None:
    """Check that all rows have a split or none has, and that no group stands in two."""
    first_of: dict[bool, int] = {}
    for row in rows:
        first_of.setdefault(row.sample.split is None, row.line)
    if len(first_of) == 2:
        raise _error(
            manifest,
            f"has a split on line {first_of[False]} and none on line {first_of[True]}; give every line one, or none",
        )
    seen: dict[str, _Row] = {}
    for row in rows:
        if row.sample.group is None:
            continue
        before = seen.setdefault(row.sample.group, row)
        if before.sample.split != row.sample.split:
            raise _error(
                manifest,
                f"has group {row.sample.group!r} in {before.sample.split} on line {before.line} and in "
                f"{row.sample.split} on line {row.line}; a group must stay in one split",
            )

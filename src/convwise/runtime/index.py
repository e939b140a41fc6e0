"""(path, size, mtime) -> hash and verdict of an image file, so that an unchanged file is not read again."""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Self, TypeVar

from ..data.decoding import rule
from ..errors import MachineError
from .cache import cache_dir, disk_errors

T = TypeVar("T")

SCHEMA = """
CREATE TABLE IF NOT EXISTS files (path BLOB PRIMARY KEY, size INTEGER, mtime_ns INTEGER, sha256 TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS images (
    sha256 TEXT, rule TEXT, format TEXT, width INTEGER, height INTEGER, animated INTEGER, problem TEXT,
    PRIMARY KEY (sha256, rule)
) WITHOUT ROWID;
"""


class Stamp(NamedTuple):
    """What changes when a file changes."""

    size: int
    mtime_ns: int


class Verdict(NamedTuple):
    """What decoding a file found; `problem` is empty for a usable image, `sha256` is hex."""

    sha256: str
    format: str = ""
    width: int = 0
    height: int = 0
    animated: bool = False
    problem: str = ""


def stamp(path: Path) -> Stamp | None:
    """Size and time of a file, None if it cannot be reached."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return Stamp(stat.st_size, stat.st_mtime_ns)


class FileIndex:
    """The index on disk; used from one thread, by any number of processes."""

    def __init__(self) -> None:
        with disk_errors("the file index"):
            cache_dir().mkdir(parents=True, exist_ok=True)
        self._path = cache_dir() / "index.sqlite"
        self._connection = self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def lookup(self, paths: Iterable[Path]) -> dict[Path, tuple[Stamp, str]]:
        """Stamp and hash of the paths that are known."""
        wanted = {os.fsencode(os.path.abspath(path)): path for path in paths}
        found: dict[Path, tuple[Stamp, str]] = {}
        for chunk in _chunks(list(wanted)):
            query = f"SELECT path, size, mtime_ns, sha256 FROM files WHERE path IN ({','.join('?' * len(chunk))})"
            for path, size, mtime_ns, sha256 in self._connection.execute(query, chunk):
                found[wanted[path]] = Stamp(size, mtime_ns), sha256
        return found

    def verdicts(self, hashes: Iterable[str]) -> dict[str, Verdict]:
        """Verdicts of the contents that were decoded before, by the decoders of today."""
        found: dict[str, Verdict] = {}
        for chunk in _chunks(sorted(set(hashes))):
            marks = ",".join("?" * len(chunk))
            columns = "sha256, format, width, height, animated, problem"
            query = f"SELECT {columns} FROM images WHERE sha256 IN ({marks}) AND rule = ?"
            for sha256, image_format, width, height, animated, problem in self._connection.execute(
                query, [*chunk, rule()]
            ):
                found[sha256] = Verdict(sha256, image_format, width, height, bool(animated), problem)
        return found

    def add(self, entries: Iterable[tuple[Path, Stamp, Verdict]]) -> None:
        """Remember files and what was found in them.

        Raises:
            MachineError: the disk is full or fails; everything written before is kept.
        """
        files, images = [], []
        for path, mark, verdict in entries:
            files.append((os.fsencode(os.path.abspath(path)), *mark, verdict.sha256))
            images.append((verdict.sha256, rule(), *verdict[1:]))
        try:
            with self._connection:
                self._connection.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", files)
                self._connection.executemany("INSERT OR REPLACE INTO images VALUES (?, ?, ?, ?, ?, ?, ?)", images)
        except sqlite3.OperationalError as error:
            raise _machine_error(error) from error

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=60)
        try:
            connection.executescript(SCHEMA)
        except sqlite3.OperationalError as error:
            connection.close()
            raise _machine_error(error) from error
        except sqlite3.DatabaseError:  # damaged: it only saves time, so begin a new one
            connection.close()
            self._path.unlink()
            connection = sqlite3.connect(self._path, timeout=60)
            connection.executescript(SCHEMA)
        return connection


def _machine_error(error: sqlite3.OperationalError) -> MachineError:
    return MachineError(
        f"the file index in {str(cache_dir())!r} could not be written: {error}; what was finished is kept. "
        "Free some space (`convwise cache --clear`), or set CONVWISE_CACHE to another disk, and repeat the command"
    )


def _chunks(items: list[T], size: int = 500) -> Iterator[list[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]

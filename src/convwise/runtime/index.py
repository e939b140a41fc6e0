"""(path, size, mtime) -> hash and verdict of an image file, so that an unchanged file is not read again."""

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Self, TypeVar

from ..data.decoding import rule
from ..data.sources import Stamp
from ..errors import MachineError
from ..places import cache_dir, disk_errors
from .cache import INDEX

T = TypeVar("T")

SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
    path BLOB PRIMARY KEY, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, inode INTEGER, sha256 TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS images (
    sha256 TEXT, rule TEXT, format TEXT, width INTEGER, height INTEGER, animated INTEGER, problem TEXT,
    PRIMARY KEY (sha256, rule)
) WITHOUT ROWID;
"""


class Verdict(NamedTuple):
    """What decoding a file found; `problem` is empty for a usable image, `sha256` is hex."""

    sha256: str
    format: str = ""
    width: int = 0
    height: int = 0
    animated: bool = False
    problem: str = ""


class FileIndex:
    """The index on disk; used from one thread, by any number of processes.

    It only saves time: where it is damaged it begins anew.
    """

    def __init__(self) -> None:
        with disk_errors("the file index"):
            cache_dir().mkdir(parents=True, exist_ok=True)
        self._path = cache_dir() / INDEX
        self._connection: sqlite3.Connection | None = None
        self._run(lambda _: None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def lookup(self, paths: Iterable[Path]) -> dict[Path, tuple[Stamp, str]]:
        """Stamp and hash of the paths that are known.

        Raises:
            MachineError: the disk fails, as in every method here.
        """
        wanted = {os.fsencode(os.path.abspath(path)): path for path in paths}

        def read(connection: sqlite3.Connection) -> dict[Path, tuple[Stamp, str]]:
            found = {}
            for chunk in _chunks(list(wanted)):
                columns, marks = ", ".join(("path", *Stamp._fields, "sha256")), ",".join("?" * len(chunk))
                query = f"SELECT {columns} FROM files WHERE path IN ({marks})"
                for path, *mark, sha256 in connection.execute(query, chunk):
                    found[wanted[path]] = Stamp(*mark), sha256
            return found

        return self._run(read)

    def verdicts(self, hashes: Iterable[str]) -> dict[str, Verdict]:
        """Verdicts of the contents that were decoded before, by the decoders of today."""
        wanted = sorted(set(hashes))

        def read(connection: sqlite3.Connection) -> dict[str, Verdict]:
            found = {}
            for chunk in _chunks(wanted):
                columns, marks = ", ".join(Verdict._fields), ",".join("?" * len(chunk))
                query = f"SELECT {columns} FROM images WHERE sha256 IN ({marks}) AND rule = ?"
                for sha256, image_format, width, height, animated, problem in connection.execute(
                    query, [*chunk, rule()]
                ):
                    found[sha256] = Verdict(sha256, image_format, width, height, bool(animated), problem)
            return found

        return self._run(read)

    def add(self, entries: Iterable[tuple[Path, Stamp, Verdict]]) -> None:
        """Remember files and what was found in them; what was written before is kept whatever happens."""
        files, images = [], []
        for path, mark, verdict in entries:
            files.append((os.fsencode(os.path.abspath(path)), *mark, verdict.sha256))
            images.append((verdict.sha256, rule(), *verdict[1:]))

        def write(connection: sqlite3.Connection) -> None:
            with connection:
                connection.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)", files)
                connection.executemany("INSERT OR REPLACE INTO images VALUES (?, ?, ?, ?, ?, ?, ?)", images)

        self._run(write)

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do something with the connection; once more on a new file when this one is damaged."""
        try:
            return work(self._open())
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname == "SQLITE_FULL":
                raise _machine_error(error) from error
            self._close()  # another process may have deleted it and begun a new one, which is allowed
        except sqlite3.DatabaseError:
            self._close()
            with disk_errors("the file index"):
                for path in self._path.parent.glob(f"{INDEX}*"):  # a journal left over would spoil the new file
                    path.unlink(missing_ok=True)
        try:
            return work(self._open())
        except sqlite3.DatabaseError as error:
            raise _machine_error(error) from error

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = sqlite3.connect(self._path, timeout=60)
            self._connection.executescript(SCHEMA)
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _machine_error(error: sqlite3.DatabaseError) -> MachineError:
    return MachineError(
        f"the file index in {str(cache_dir())!r} could not be written: {error}; what was finished is kept. "
        "Free some space (`convwise cache --clear`), or set CONVWISE_CACHE to another disk, and repeat the command"
    )


def _chunks(items: list[T], size: int = 500) -> Iterator[list[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]

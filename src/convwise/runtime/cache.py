"""What is computed once and kept on disk: where it is, how much it may take, and rows of numbers by content.

An entry holds one kind of row (the features of one graph at one cut, say), each under the SHA-256 of its file's bytes.
Rows lie in immutable segments, written aside and renamed: a kill or a second writer can lose or repeat work, never
damage it. Everything here may be deleted at any time.
"""

import hashlib
import json
import math
import os
import shutil
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..errors import MachineError, UsageError

FLUSH_ROWS, FLUSH_SECONDS = 256, 2.0  # a kill repeats at most this much
Array = NDArray[Any]


def cache_dir() -> Path:
    """The cache's folder: CONVWISE_CACHE, or `convwise` in the user's cache folder."""
    if set_by_user := os.environ.get("CONVWISE_CACHE"):
        return Path(set_by_user)
    base = os.environ.get("LOCALAPPDATA") or os.environ.get("XDG_CACHE_HOME")
    return Path(base or Path.home() / ".cache") / "convwise"


def cache_limit() -> int:
    """Bytes that the cached rows may take: CONVWISE_CACHE_GB (20) times 10^9.

    Raises:
        UsageError: the variable is not a positive number.
    """
    text = os.environ.get("CONVWISE_CACHE_GB", "20")
    try:
        limit = float(text)
    except ValueError:
        limit = 0.0
    if not (limit > 0 and math.isfinite(limit)):
        raise UsageError(f"CONVWISE_CACHE_GB must be a number of gigabytes above 0, got {text!r}")
    return int(limit * 1e9)


def key_of(record: dict[str, Any]) -> str:
    """SHA-256 (hex) of a record of plain values."""
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


@contextmanager
def disk_errors(what: str) -> Iterator[None]:
    """Turn a failing disk into the error that says what is kept.

    Raises:
        MachineError: any OSError inside.
    """
    try:
        yield
    except OSError as error:
        raise MachineError(
            f"{what} could not be written in {str(cache_dir())!r}: {error.strerror or error}; what was finished is "
            "kept. "
            "Free some space (`convwise cache --clear`), or set CONVWISE_CACHE to another disk, and repeat the command"
        ) from error


def write_aside(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all, also after a kill or a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, aside = tempfile.mkstemp(prefix=".tmp-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise


def touch(folder: Path) -> None:
    """Mark an entry as used now; the least recently used one goes first."""
    with suppress(OSError):  # a cache that others own can be read all the same
        os.utime(folder)


class Rows:
    """One entry of the cache: content hash -> a row of fixed shape and type. Used from one thread.

    Args:
        key: identifies what the rows are (`key_of` of everything that decides them).
        shape: of one row.
        dtype: of one row.
    """

    def __init__(self, key: str, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self.folder = cache_dir() / "rows" / key
        self.shape, self.dtype = shape, np.dtype(dtype)
        self._place: dict[bytes, tuple[Path, int]] = {}  # hash -> segment, row
        self._waiting: dict[bytes, Array] = {}
        self._flushed = time.monotonic()
        if self.folder.is_dir():
            for segment in sorted(self.folder.glob("*.npz")):
                self._index(segment)
            touch(self.folder)

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    def __contains__(self, content: bytes) -> bool:
        return content in self._place or content in self._waiting

    def __len__(self) -> int:
        return len(self._place) + len(self._waiting)

    def add(self, content: bytes, row: Array) -> None:
        """Keep a row; it is on disk after the next flush, which comes by itself.

        Raises:
            MachineError: the disk is full or fails.
        """
        assert row.shape == self.shape
        assert row.dtype == self.dtype
        self._waiting[content] = row
        if len(self._waiting) >= FLUSH_ROWS or time.monotonic() - self._flushed > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what waits as one segment.

        Raises:
            MachineError: the disk is full or fails.
        """
        self._flushed = time.monotonic()
        if not self._waiting:
            return
        with disk_errors("computed rows"):
            self.folder.mkdir(parents=True, exist_ok=True)
            contents = np.frombuffer(b"".join(self._waiting), np.uint8).reshape(-1, 32)
            handle, aside = tempfile.mkstemp(prefix=".tmp-", dir=self.folder)
            try:
                with os.fdopen(handle, "wb") as file:
                    np.savez(file, contents=contents, rows=np.stack(list(self._waiting.values())))
                    file.flush()
                    os.fsync(file.fileno())
                segment = self.folder / f"{time.time_ns():020d}-{Path(aside).name[5:]}.npz"
                os.replace(aside, segment)
            except BaseException:
                Path(aside).unlink(missing_ok=True)
                raise
        for row, content in enumerate(self._waiting):
            self._place[content] = segment, row
        self._waiting = {}

    def read(self, contents: list[bytes]) -> tuple[Array, list[bytes]]:
        """Return the rows, (n, *shape) in the order asked, and the contents that are missing (their rows are zero).

        A segment that was deleted or damaged since counts as missing and is forgotten.
        """
        out = np.zeros((len(contents), *self.shape), self.dtype)
        wanted: dict[Path, list[tuple[int, int]]] = {}
        for i, content in enumerate(contents):
            if content in self._waiting:
                out[i] = self._waiting[content]
            elif content in self._place:
                segment, row = self._place[content]
                wanted.setdefault(segment, []).append((i, row))
        for segment, places in wanted.items():
            rows = self._load(segment, "rows")
            if rows is None or rows.shape[1:] != self.shape or rows.dtype != self.dtype:
                self._forget(segment)
            else:
                targets, sources = np.array(places).T
                out[targets] = rows[sources]
        return out, [content for content in contents if content not in self]

    def _index(self, segment: Path) -> None:
        contents = self._load(segment, "contents")
        if contents is None:
            self._forget(segment)
            return
        blob = contents.tobytes()
        self._place.update((blob[32 * i : 32 * i + 32], (segment, i)) for i in range(len(contents)))

    def _load(self, segment: Path, name: str) -> Array | None:
        try:
            with segment.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                array: Array = arrays[name]  # zipfile checks the CRC
                return array
        except MemoryError:
            raise
        except Exception:  # a damaged archive raises what it likes; the rows are computed again
            return None

    def _forget(self, segment: Path) -> None:
        segment.unlink(missing_ok=True)
        self._place = {content: place for content, place in self._place.items() if place[0] != segment}


def make_room(keep: Collection[Path]) -> None:
    """Delete the least recently used entries until the cache is within its limit; the folders in `keep` stay."""
    limit = cache_limit()
    entries = sorted((used, size, folder) for folder, size, used in _entries())
    total = sum(size for _, size, _ in entries)
    for _, size, folder in entries:
        if total <= limit:
            break
        if folder not in keep:
            shutil.rmtree(folder, ignore_errors=True)  # on Windows a file in use stays; the next run tries again
            total -= size


def cache_usage() -> dict[str, int]:
    """Bytes by kind: rows (features, pixels), graphs, index."""
    usage = {"rows": 0, "graphs": 0, "index": 0}
    for path in cache_dir().rglob("*"):
        if path.is_file():
            kind = path.relative_to(cache_dir()).parts[0]
            usage[kind if kind in usage else "index"] += path.stat().st_size
    return usage


def clear_cache() -> None:
    """Delete everything that convwise keeps in its cache folder, and nothing else that may lie there.

    Raises:
        MachineError: a file cannot be deleted.
    """
    try:
        for name in ("rows", "graphs"):
            if (cache_dir() / name).exists():
                shutil.rmtree(cache_dir() / name)
        for path in cache_dir().glob("index.sqlite*"):
            path.unlink(missing_ok=True)
    except OSError as error:
        raise MachineError(
            f"the cache in {str(cache_dir())!r} could not be cleared: {error.strerror or error}"
        ) from error


def _entries() -> list[tuple[Path, int, float]]:
    """Folder, bytes and time of last use of every entry; files that vanish meanwhile count nothing."""
    found = []
    for kind in ("rows", "graphs"):
        for folder in (cache_dir() / kind).glob("*"):
            try:
                found.append((folder, sum(f.stat().st_size for f in folder.iterdir()), folder.stat().st_mtime))
            except OSError:
                continue
    return found

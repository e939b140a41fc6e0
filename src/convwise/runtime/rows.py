"""Rows of numbers on disk, each under the SHA-256 of the file that it was computed from.

An entry holds one kind of row (the features of one graph at one cut, say). Rows lie in immutable segments, written
aside and renamed: a kill or a second writer can lose or repeat work, never damage it.
"""

import math
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..places import cache_dir, disk_errors
from .cache import aside, touch

FLUSH_ROWS, FLUSH_SECONDS = 256, 2.0  # a kill repeats at most this much
Array = NDArray[Any]


class Rows:
    """One entry of the cache: content hash -> a row of fixed shape and type. Used from one thread.

    Args:
        key: identifies what the rows are (`key_of` of everything that decides them).
        shape: of one row.
        dtype: of one row.
    """

    mapped = False  # rows that were read lie in memory

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
        return math.prod(self.shape) * self.dtype.itemsize

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
            segment = self.folder / f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}.npz"
            contents = np.frombuffer(b"".join(self._waiting), np.uint8).reshape(-1, 32)
            with aside(segment) as file:
                np.savez(file, contents=contents, rows=np.stack(list(self._waiting.values())))
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
        except OSError:  # not there, or out of reach for now
            return None
        except MemoryError:
            raise
        except Exception:  # a damaged archive raises what it likes
            with suppress(OSError):
                segment.unlink()
            return None

    def _forget(self, segment: Path) -> None:
        self._place = {content: place for content, place in self._place.items() if place[0] != segment}

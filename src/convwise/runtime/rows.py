"""Rows of numbers on disk, such as the features of one graph at one cut."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from .segments import Array, DamagedError, Kind, Segments

FLUSH_ROWS, FLUSH_SECONDS = 256, 2.0  # a kill repeats at most this much


class _Row(NamedTuple):
    """Where a row is."""

    segment: Path
    number: int


class Rows(Segments[_Row]):
    """Rows of fixed shape and type; a segment is an archive of numpy's, its arrays `contents` and `rows`.

    Args:
        key: identifies what the rows are (`key_of` of everything that decides them).
        shape: of one row.
        dtype: of one row.
    """

    mapped = False

    def __init__(self, key: str, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self.shape, self.dtype = shape, np.dtype(dtype)
        super().__init__(Kind("rows", ".npz", "computed rows", FLUSH_ROWS * self.row_bytes, FLUSH_SECONDS), key)

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return math.prod(self.shape) * self.dtype.itemsize

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
            try:
                rows = _load(segment, "rows")
            except DamagedError:
                self._discard(segment)
                continue
            except OSError:
                self._forget({segment})
                continue
            if rows.shape[1:] != self.shape or rows.dtype != self.dtype:
                self._forget({segment})
            else:
                targets, sources = np.array(places).T
                out[targets] = rows[sources]
        return out, [content for content in contents if content not in self]

    def _fits(self, array: Array) -> bool:
        return array.shape == self.shape and array.dtype == self.dtype

    def _places(self, segment: Path) -> Mapping[bytes, _Row]:
        blob = _load(segment, "contents").tobytes()
        return {blob[32 * i : 32 * i + 32]: _Row(segment, i) for i in range(len(blob) // 32)}

    def _put(self, file: IO[bytes], segment: Path, arrays: Iterable[tuple[bytes, Array]]) -> Mapping[bytes, _Row]:
        contents, rows = zip(*arrays, strict=True)
        np.savez(file, contents=np.frombuffer(b"".join(contents), np.uint8).reshape(-1, 32), rows=np.stack(rows))
        return {content: _Row(segment, number) for number, content in enumerate(contents)}


def _load(segment: Path, name: str) -> Array:
    try:
        with segment.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            array: Array = arrays[name]  # zipfile checks the CRC
            return array
    except (OSError, MemoryError):
        raise
    except Exception as error:  # a damaged archive raises what it likes
        raise DamagedError from error

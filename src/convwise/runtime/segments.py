"""What rows and prepared images have in common on disk: each under the SHA-256 of its file, many in a segment.

Segments are immutable files, written aside and renamed: a kill or a second writer can lose or repeat work, never damage
it.
"""

import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Set
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Generic, NamedTuple, Protocol, TypeVar

from numpy.typing import NDArray

from ..places import cache_dir, disk_errors
from .cache import aside, touch

Array = NDArray[Any]


class DamagedError(Exception):
    """A segment is not as it was written."""


class Kind(NamedTuple):
    """What the entries of a kind are called, and what a kill repeats at most.

    Attributes:
        folder: of all of them, in the cache.
        suffix: of a segment's name.
        what: for people.
        flush_bytes, flush_seconds: a segment is written when as much waits, or as long.
    """

    folder: str
    suffix: str
    what: str
    flush_bytes: int
    flush_seconds: float


class Place(Protocol):
    """Where an array is: in which segment, and where in it."""

    @property
    def segment(self) -> Path:
        """The file."""
        ...


P = TypeVar("P", bound=Place)


class Segments(ABC, Generic[P]):
    """One entry of the cache: content hash -> an array. Used from one thread.

    Args:
        kind: what is in it.
        key: identifies how the arrays were made (`key_of` of everything that decides them).
    """

    mapped: bool  # what was read stays on disk

    def __init__(self, kind: Kind, key: str) -> None:
        self.folder = cache_dir() / kind.folder / key
        self._kind = kind
        self._place: dict[bytes, P] = {}
        self._waiting: dict[bytes, Array] = {}
        self._waiting_bytes = 0
        self._flushed = time.monotonic()
        self._look()
        if self.folder.is_dir():
            touch(self.folder)

    def __contains__(self, content: bytes) -> bool:
        return content in self._place or content in self._waiting

    def __len__(self) -> int:
        return len(self._place) + len(self._waiting)

    def add(self, content: bytes, array: Array) -> None:
        """Keep an array; it is on disk after the next flush, which comes by itself.

        Raises:
            MachineError: the disk is full or fails.
        """
        assert self._fits(array)
        self._waiting[content] = array
        self._waiting_bytes += array.nbytes
        late = time.monotonic() - self._flushed > self._kind.flush_seconds
        if late or self._waiting_bytes >= self._kind.flush_bytes:
            self.flush()

    def flush(self) -> None:
        """Write what waits as one segment.

        Raises:
            MachineError: the disk is full or fails.
        """
        self._flushed = time.monotonic()
        if not self._waiting:
            return
        with disk_errors(self._kind.what):
            self._write(self._waiting.items())
        self._waiting, self._waiting_bytes = {}, 0

    @abstractmethod
    def read(self, contents: list[bytes]) -> tuple[Any, list[bytes]]:
        """Return the arrays in the order asked, and the contents that are missing."""

    @abstractmethod
    def _fits(self, array: Array) -> bool:
        """Whether an array is one of this entry."""

    @abstractmethod
    def _places(self, segment: Path) -> Mapping[bytes, P]:
        """Read where the arrays of a segment are.

        Raises:
            DamagedError: the segment is not as it was written.
            OSError: it is gone, or out of reach for now.
        """

    @abstractmethod
    def _put(self, file: IO[bytes], segment: Path, arrays: Iterable[tuple[bytes, Array]]) -> Mapping[bytes, P]:
        """Write arrays into the file that will be this segment, and say where each is."""

    def _segments(self) -> set[Path]:
        return {place.segment for place in self._place.values()}

    def _look(self) -> None:
        """Look for segments that are not known yet."""
        for segment in sorted(set(self.folder.glob(f"*{self._kind.suffix}")) - self._segments()):
            try:
                self._place.update(self._places(segment))
            except DamagedError:
                self._discard(segment)
            except OSError:
                continue

    def _write(self, arrays: Iterable[tuple[bytes, Array]]) -> None:
        segment = self.folder / f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}{self._kind.suffix}"
        with aside(segment) as file:
            places = self._put(file, segment, arrays)
        self._place.update(places)

    def _forget(self, segments: Set[Path]) -> None:
        if segments:
            self._place = {c: place for c, place in self._place.items() if place.segment not in segments}

    def _discard(self, segment: Path) -> None:
        """Forget a damaged segment and delete it."""
        self._forget({segment})
        with suppress(OSError):
            segment.unlink()

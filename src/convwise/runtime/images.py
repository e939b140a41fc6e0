"""Decoded images of any size on disk, each under the SHA-256 of its file, read through memory maps.

A segment is one file: the pixels of some images one behind the other, then a table of where each is, then the table's
length and checksum. Segments are immutable, written aside and renamed: a kill or a second writer can lose or repeat
work, never damage it. A map holds a descriptor, of which a process has few (256 on some systems): only images that are
asked for are mapped, and many small segments become few large ones first.
"""

import errno
import time
import uuid
import zlib
from collections.abc import Iterable, Iterator, Sequence, Set
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import MachineError
from ..places import cache_dir, disk_errors
from .cache import aside, touch

Pixels = NDArray[np.uint8]

FLUSH_BYTES, FLUSH_SECONDS = 64_000_000, 10.0  # a kill repeats at most this much
SEGMENTS, LARGE_BYTES = 32, 1_000_000_000  # more segments than this are joined to ones of about this size
SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
TABLE = np.dtype([("content", "V32"), ("start", "<u8"), ("height", "<u4"), ("width", "<u4")])
FOOTER = np.dtype([("magic", "S8"), ("images", "<u8"), ("pixels_crc", "<u4"), ("table_crc", "<u4")])
MAGIC = b"cvwimg-1"


class _Place(NamedTuple):
    """Where the pixels of an image are."""

    segment: Path
    start: int
    height: int
    width: int


class MappedImages(Sequence[Pixels]):
    """Images by number, uint8 (H, W, channels), read-only and read from disk when they are looked at."""

    def __init__(self, maps: dict[Path, Pixels], places: list[_Place], channels: int) -> None:
        self._maps, self._places, self._channels = maps, places, channels

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, sample: int) -> Pixels:  # type: ignore[override]  # no slices
        """The pixels of one; safe in any thread."""
        place = self._places[sample]
        return _cut(self._maps[place.segment], place, self._channels)


class StoredImages:
    """One entry of the cache: content hash -> an image. Used from one thread.

    Args:
        key: identifies how the images were made (`key_of` of everything that decides them).
        channels: of each image.
    """

    mapped = True  # images that were read stay on disk

    def __init__(self, key: str, channels: int) -> None:
        self.folder = cache_dir() / "images" / key
        self.channels = channels
        self._maps: dict[Path, Pixels] = {}
        self._place: dict[bytes, _Place] = {}
        self._waiting: dict[bytes, Pixels] = {}
        self._waiting_bytes = 0
        self._flushed = time.monotonic()
        self._index()
        if self.folder.is_dir():
            touch(self.folder)

    def __contains__(self, content: bytes) -> bool:
        return content in self._place or content in self._waiting

    def __len__(self) -> int:
        return len(self._place) + len(self._waiting)

    def add(self, content: bytes, pixels: Pixels) -> None:
        """Keep an image; it is on disk after the next flush, which comes by itself.

        Raises:
            MachineError: the disk is full or fails.
        """
        assert pixels.ndim == 3
        assert pixels.shape[2] == self.channels
        assert pixels.dtype == np.uint8
        self._waiting[content] = pixels
        self._waiting_bytes += pixels.nbytes
        if self._waiting_bytes >= FLUSH_BYTES or time.monotonic() - self._flushed > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what waits as one segment.

        Raises:
            MachineError: the disk is full or fails.
        """
        self._flushed = time.monotonic()
        if not self._waiting:
            return
        with disk_errors("prepared images"):
            self._write(self._waiting.items())
        self._waiting, self._waiting_bytes = {}, 0

    def read(self, contents: list[bytes]) -> tuple[MappedImages, list[bytes]]:
        """Return the images in the order asked, and the contents that are missing (which must not be looked at).

        Raises:
            MachineError: the disk is full or fails, or too few files may be open.
        """
        self.flush()
        self._forget({segment for segment in self._segments() if not segment.exists()})  # others cleared the cache
        if any(content not in self._place for content in contents):
            self._index()
        self._join()
        for segment in {self._place[content].segment for content in contents if content in self._place}:
            if segment not in self._maps:
                if (mapped := _map(segment)) is None:
                    self._forget({segment})
                else:
                    self._maps[segment] = mapped
        nothing = _Place(self.folder, 0, 0, 0)
        places = [self._place.get(content, nothing) for content in contents]
        return MappedImages(dict(self._maps), places, self.channels), [c for c in contents if c not in self]

    def _segments(self) -> set[Path]:
        return {place.segment for place in self._place.values()}

    def _index(self) -> None:
        """Look for segments that are not known yet; one that is damaged is deleted."""
        for segment in sorted(set(self.folder.glob("*.images")) - self._segments()):
            try:
                if (mapped := _map(segment)) is None:
                    continue
                table = _table(mapped)
            except ValueError:  # empty
                table = None
            if table is None:
                with suppress(OSError):
                    segment.unlink()
                continue
            for content, start, height, width in table.tolist():
                self._place[content] = _Place(segment, start, height, width)

    def _write(self, images: Iterable[tuple[bytes, Pixels]]) -> None:
        """Write one segment."""
        places, checksum, start = {}, 0, 0
        segment = self.folder / f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}.images"
        with aside(segment) as file:
            for content, pixels in images:
                data = np.ascontiguousarray(pixels).data
                places[content] = _Place(segment, start, *pixels.shape[:2])
                start, checksum = start + pixels.nbytes, zlib.crc32(data, checksum)
                file.write(data)
            table = np.array([(content, *place[1:]) for content, place in places.items()], TABLE).tobytes()
            file.write(table)
            file.write(np.array((MAGIC, len(places), checksum, zlib.crc32(table)), FOOTER).tobytes())
        self._place.update(places)

    def _join(self) -> None:
        """Put small segments together where they are many."""
        sizes = dict.fromkeys(sorted(self._segments()), 0)
        if len(sizes) <= SEGMENTS:
            return
        for place in self._place.values():
            sizes[place.segment] += place.height * place.width * self.channels
        group: set[Path] = set()
        for segment, size in sizes.items():
            if size < LARGE_BYTES / 2:
                group.add(segment)
            if sum(sizes[member] for member in group) >= LARGE_BYTES:
                self._replace(group)
                group = set()
        if len(group) > 1:
            self._replace(group)

    def _replace(self, group: Set[Path]) -> None:
        """Put these segments into one."""
        try:
            self._write(self._images_of(group))
        except OSError:  # no room for both at once: they stay as they are
            return
        for segment in group - self._segments():
            self._maps.pop(segment, None)
            with suppress(OSError):
                segment.unlink()

    def _images_of(self, group: Set[Path]) -> Iterator[tuple[bytes, Pixels]]:
        """The images of these segments, of which one is mapped at a time."""
        chosen = [(content, place) for content, place in self._place.items() if place.segment in group]
        current, mapped = None, None
        for content, place in sorted(chosen, key=lambda item: item[1]):
            if place.segment != current:
                current, mapped = place.segment, _map(place.segment)
            if mapped is not None:
                yield content, _cut(mapped, place, self.channels)

    def _forget(self, segments: Set[Path]) -> None:
        if segments:
            self._maps = {segment: mapped for segment, mapped in self._maps.items() if segment not in segments}
            self._place = {c: place for c, place in self._place.items() if place.segment not in segments}


def _cut(mapped: Pixels, place: _Place, channels: int) -> Pixels:
    """One image of a mapped segment."""
    _, start, height, width = place
    return mapped[start : start + height * width * channels].reshape(height, width, channels)


def _map(segment: Path) -> Pixels | None:
    """Map a segment; None where it is gone, or out of reach for now, which is no damage.

    Raises:
        MachineError: files or memory are short.
    """
    try:
        return np.memmap(segment, np.uint8, "r").view(np.ndarray)
    except OSError as error:
        if error.errno not in SHORTAGES:
            return None
        raise MachineError(
            f"prepared images in {str(segment.parent)!r} could not be opened: {error.strerror}; what was finished is "
            "kept. Close other programs or allow more open files (`ulimit -n`), and repeat the command"
        ) from error


def _table(mapped: Any) -> NDArray[Any] | None:
    """The table of a segment, None where the segment is not as it was written."""
    if len(mapped) < FOOTER.itemsize:
        return None
    footer = mapped[-FOOTER.itemsize :].view(FOOTER)[0]
    end = len(mapped) - FOOTER.itemsize
    start = end - int(footer["images"]) * TABLE.itemsize
    if footer["magic"] != MAGIC or start < 0:
        return None
    if zlib.crc32(mapped[start:end]) != footer["table_crc"] or zlib.crc32(mapped[:start]) != footer["pixels_crc"]:
        return None
    table: NDArray[Any] = mapped[start:end].view(TABLE)
    return table

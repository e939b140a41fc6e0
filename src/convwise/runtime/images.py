"""Decoded images of any size on disk, each under the SHA-256 of its file, read through memory maps.

A segment is one file: the pixels of some images one behind the other, then a table of where each is, then the table's
length and checksum. Segments are immutable, written aside and renamed: a kill or a second writer can lose or repeat
work, never damage it.
"""

import time
import uuid
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..places import cache_dir, disk_errors
from .cache import aside, touch

Pixels = NDArray[np.uint8]

FLUSH_BYTES, FLUSH_SECONDS = 64_000_000, 2.0  # a kill repeats at most this much
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
        segment, start, height, width = self._places[sample]
        size = height * width * self._channels
        return self._maps[segment][start : start + size].reshape(height, width, self._channels)


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
        if self.folder.is_dir():
            for segment in sorted(self.folder.glob("*.images")):
                self._open(segment)
            touch(self.folder)

    def __contains__(self, content: bytes) -> bool:
        return content in self._place or content in self._waiting

    def __len__(self) -> int:
        return len(self._place) + len(self._waiting)

    @property
    def bytes_per_image(self) -> float:
        """Of those on disk, the mean."""
        pixels = sum(place.height * place.width for place in self._place.values())
        return pixels * self.channels / max(1, len(self._place))

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
        table, start, checksum = np.zeros(len(self._waiting), TABLE), 0, 0
        with disk_errors("prepared images"):
            segment = self.folder / f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}.images"
            with aside(segment) as file:
                for i, (content, pixels) in enumerate(self._waiting.items()):
                    data = np.ascontiguousarray(pixels).data
                    table[i] = content, start, *pixels.shape[:2]
                    start, checksum = start + pixels.nbytes, zlib.crc32(data, checksum)
                    file.write(data)
                file.write(table.tobytes())
                footer = (MAGIC, len(table), checksum, zlib.crc32(table.tobytes()))
                file.write(np.array(footer, FOOTER).tobytes())
        self._waiting, self._waiting_bytes = {}, 0
        self._open(segment)

    def read(self, contents: list[bytes]) -> tuple[MappedImages, list[bytes]]:
        """Return the images in the order asked, and the contents that are missing (which must not be looked at)."""
        self.flush()
        for segment in [segment for segment in self._maps if not segment.exists()]:
            self._forget(segment)  # others cleared the cache; what is mapped would still be there, but not for long
        nothing = _Place(self.folder, 0, 0, 0)
        places = [self._place.get(content, nothing) for content in contents]
        return MappedImages(dict(self._maps), places, self.channels), [c for c in contents if c not in self]

    def _open(self, segment: Path) -> None:
        """Map a segment; one that is damaged is deleted."""
        try:
            mapped = np.memmap(segment, np.uint8, "r").view(np.ndarray)
            table = _table(mapped)
        except (OSError, ValueError):  # gone since it was listed, or empty
            table = None
        if table is None:
            with suppress(OSError):
                segment.unlink()
            return
        self._maps[segment] = mapped
        for content, start, height, width in table.tolist():
            self._place[content] = _Place(segment, start, height, width)

    def _forget(self, segment: Path) -> None:
        del self._maps[segment]
        self._place = {content: place for content, place in self._place.items() if place.segment != segment}


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

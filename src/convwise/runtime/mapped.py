"""The file of a segment of prepared images, and the images in it, read through a memory map.

It has the pixels of some images one behind the other, then a table of where each is, then the table's length and the
checksums of both. The table is checked when the file is opened, the pixels when they are first looked at.
"""

import errno
import threading
import zlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import MachineError
from .segments import DamagedError

Pixels = NDArray[np.uint8]

SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
TABLE = np.dtype([("content", "V32"), ("start", "<u8"), ("height", "<u4"), ("width", "<u4")])
FOOTER = np.dtype([("magic", "S8"), ("images", "<u8"), ("pixels_crc", "<u4"), ("table_crc", "<u4")])
MAGIC = b"cvwimg-1"


class Place(NamedTuple):
    """Where the pixels of an image are."""

    segment: Path
    start: int
    height: int
    width: int


def write_images(file: IO[bytes], segment: Path, images: Iterable[tuple[bytes, Pixels]]) -> dict[bytes, Place]:
    """Write images into the file that will be this segment, and say where each is."""
    places, checksum, start = {}, 0, 0
    for content, pixels in images:
        data = np.ascontiguousarray(pixels).data
        places[content] = Place(segment, start, *pixels.shape[:2])
        start, checksum = start + pixels.nbytes, zlib.crc32(data, checksum)
        file.write(data)
    table = np.array([(content, *place[1:]) for content, place in places.items()], TABLE).tobytes()
    file.write(table)
    file.write(np.array((MAGIC, len(places), checksum, zlib.crc32(table)), FOOTER).tobytes())
    return places


class MappedSegment:
    """A segment that is there; safe in any thread.

    Args:
        segment: the file.

    Raises:
        DamagedError: its table is not as it was written.
        OSError: it is gone, or out of reach for now, which is no damage.
        MachineError: files or memory are short.
    """

    def __init__(self, segment: Path) -> None:
        mapped = _map(segment)
        end = len(mapped) - FOOTER.itemsize
        if end < 0:
            raise DamagedError
        footer = mapped[end:].view(FOOTER)[0]
        start = end - int(footer["images"]) * TABLE.itemsize
        if footer["magic"] != MAGIC or start < 0 or zlib.crc32(mapped[start:end].data) != footer["table_crc"]:
            raise DamagedError
        self.segment, self._table, self._pixels = segment, mapped[start:end].view(TABLE), mapped[:start]
        self._crc, self._checked, self._lock = footer["pixels_crc"], False, threading.Lock()

    def places(self) -> dict[bytes, Place]:
        """Content -> where the image is."""
        return {content: Place(self.segment, *place) for content, *place in self._table.tolist()}

    def image(self, place: Place, channels: int) -> Pixels:
        """The pixels of one, uint8 (H, W, channels), read-only; the first one waits until all are checked.

        Raises:
            DamagedError: the pixels are not as they were written.
        """
        with self._lock:
            if not self._checked and zlib.crc32(self._pixels.data) != self._crc:
                raise DamagedError
            self._checked = True
        _, start, height, width = place
        return self._pixels[start : start + height * width * channels].reshape(height, width, channels)


class MappedImages(Sequence[Pixels]):
    """Images by number, uint8 (H, W, channels), read-only and read from disk when they are looked at."""

    def __init__(self, segments: Mapping[Path, MappedSegment], places: Sequence[Place], channels: int) -> None:
        self._segments, self._places, self._channels = segments, places, channels

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, number: int) -> Pixels:  # type: ignore[override]  # no slices
        """The pixels of one; safe in any thread.

        Raises:
            MachineError: they are not as they were written; the segment is deleted.
        """
        place = self._places[number]
        try:
            return self._segments[place.segment].image(place, self._channels)
        except DamagedError as error:
            with suppress(OSError):
                place.segment.unlink()
            raise MachineError(
                f"prepared images in {str(place.segment)!r} were damaged on disk, and the file is deleted; what was "
                "trained is kept. Repeat the command, and they are prepared again"
            ) from error


def _map(segment: Path) -> Pixels:
    try:
        return np.memmap(segment, np.uint8, "r").view(np.ndarray)
    except ValueError as error:  # empty
        raise DamagedError from error
    except OSError as error:
        if error.errno not in SHORTAGES:
            raise
        raise MachineError(
            f"prepared images in {str(segment.parent)!r} could not be opened: {error.strerror}; what was finished is "
            "kept. Close other programs or allow more open files (`ulimit -n`), and repeat the command"
        ) from error

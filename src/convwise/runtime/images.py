"""Prepared images of any size in the cache.

A map holds a descriptor, of which a process has few (256 on some systems): only images that are asked for are mapped,
and many small segments become few large ones first.
"""

from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import IO

import numpy as np

from .mapped import MappedImages, MappedSegment, Pixels, Place, write_images
from .segments import Array, DamagedError, Kind, Segments

FLUSH_BYTES, FLUSH_SECONDS = 64_000_000, 10.0  # a kill repeats at most this much
SEGMENTS, LARGE_BYTES = 32, 1_000_000_000  # more segments than this are joined to ones of about this size


class StoredImages(Segments[Place]):
    """Images, uint8 (H, W, channels).

    Args:
        key: identifies how the images were made (`key_of` of everything that decides them).
        channels: of each image.
    """

    mapped = True

    def __init__(self, key: str, channels: int) -> None:
        self.channels = channels
        self._maps: dict[Path, MappedSegment] = {}
        super().__init__(Kind("images", ".images", "prepared images", FLUSH_BYTES, FLUSH_SECONDS), key)

    def read(self, contents: list[bytes]) -> tuple[MappedImages, list[bytes]]:
        """Return the images in the order asked, and the contents that are missing (which must not be looked at).

        Raises:
            MachineError: the disk is full or fails, or too few files may be open.
        """
        self.flush()
        self._forget({segment for segment in self._segments() if not segment.exists()})  # others cleared the cache
        if any(content not in self._place for content in contents):
            self._look()
        self._join()
        known = self._segments()
        self._maps = {segment: mapped for segment, mapped in self._maps.items() if segment in known}
        for segment in {self._place[content].segment for content in contents if content in self._place}:
            if segment not in self._maps and (mapped := self._map(segment)):
                self._maps[segment] = mapped
        nothing = Place(self.folder, 0, 0, 0)
        places = [self._place.get(content, nothing) for content in contents]
        return MappedImages(dict(self._maps), places, self.channels), [c for c in contents if c not in self]

    def _fits(self, array: Array) -> bool:
        return array.ndim == 3 and array.shape[2] == self.channels and array.dtype == np.uint8

    def _places(self, segment: Path) -> Mapping[bytes, Place]:
        return MappedSegment(segment).places()

    def _put(self, file: IO[bytes], segment: Path, arrays: Iterable[tuple[bytes, Array]]) -> Mapping[bytes, Place]:
        return write_images(file, segment, arrays)

    def _map(self, segment: Path) -> MappedSegment | None:
        """Map a segment; None, and forgotten, where it is gone, out of reach or damaged."""
        try:
            return MappedSegment(segment)
        except DamagedError:
            self._discard(segment)
        except OSError:
            self._forget({segment})
        return None

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
        chosen.sort(key=lambda item: item[1])
        for segment, images in groupby(chosen, key=lambda item: item[1].segment):
            try:
                mapped = MappedSegment(segment)
                yield from ((content, mapped.image(place, self.channels)) for content, place in images)
            except DamagedError:
                self._discard(segment)
            except OSError:  # out of reach for now: it stays as it is
                continue

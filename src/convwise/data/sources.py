"""Where the bytes of images are: files of their own, or many images in one file."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from . import decoding


class Stamp(NamedTuple):
    """What changes when a file changes, or another takes its place: an archive gives many files one time and size."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int


def stamp(path: Path) -> Stamp | None:
    """Size and time of a file, None if it cannot be reached."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return Stamp(stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)


class Source(Protocol):
    """Gives the bytes of images by their names, which are the paths of the samples; safe in any thread."""

    def path(self, name: str) -> Path:
        """Where an image is; one of many in a file has a name under that file's, where nothing lies."""
        ...

    def stamp(self, name: str) -> Stamp | None:
        """Of the file that an image is in, as it was when what `read` gives was there, or before."""
        ...

    def read(self, name: str) -> bytes:
        """The bytes of an image file.

        Raises:
            OSError: it cannot be read.
        """
        ...


@dataclass(frozen=True)
class Files:
    """Images that are files of their own, below a folder or named from the root."""

    folder: Path

    def path(self, name: str) -> Path:
        """The file."""
        return self.folder / name

    def stamp(self, name: str) -> Stamp | None:
        """Of the file, now."""
        return stamp(self.path(name))

    def read(self, name: str) -> bytes:
        """Read the file, now."""
        return decoding.read(self.path(name))

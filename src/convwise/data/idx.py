"""A folder of IDX files (MNIST and its family) -> samples.

`train-images-idx3-ubyte` with `train-labels-idx1-ubyte` is the split `train`, `t10k-...` the split `test`; either may
end in `.gz`. A class is called by its number. The bytes of an image are those of a PGM file: a short header, then the
levels.

Source: the format is described with the files of MNIST, http://yann.lecun.com/exdb/mnist/.
"""

import gzip
import math
import os
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ..errors import DataError
from .samples import Listing, Sample, natural_key
from .sources import Stamp, stamp

SPLIT_OF = {"train": "train", "t10k": "test"}  # how the files of a split begin
IMAGES, LABELS = "-images-idx3-ubyte", "-labels-idx1-ubyte"
ENDINGS = ("", ".gz")  # where both are there, the first is read
UNSIGNED_BYTE = 8  # the one type of level, and of label, that these files have


class _File(NamedTuple):
    """An IDX file, read and unpacked; `data` begins with a header of so many bytes."""

    stamp: Stamp | None
    shape: tuple[int, ...]
    header: int
    data: bytes


@dataclass(frozen=True)
class IdxImages:
    """The images of IDX files, in memory; the seventeenth of `train-images-idx3-ubyte` is called `...#16`."""

    folder: Path
    files: dict[str, _File] = field(repr=False)

    def path(self, name: str) -> Path:
        """A name below the IDX file's, for the index."""
        return self.folder / name

    def stamp(self, name: str) -> Stamp | None:
        """Of the IDX file, from before it was read."""
        return self.files[name.rpartition("#")[0]].stamp

    def read(self, name: str) -> bytes:
        """A PGM file of one image."""
        file, _, number = name.rpartition("#")
        _, (_, height, width), header, data = self.files[file]
        start = header + int(number) * height * width
        return b"P5 %d %d 255\n" % (width, height) + data[start : start + height * width]


def has_idx(folder: Path) -> bool:
    """Whether files of images or labels in IDX lie in a folder."""
    return any(os.path.isfile(folder / f"{begin}{kind}") for begin in SPLIT_OF for kind in _names(IMAGES, LABELS))


def list_idx(folder: Path) -> Listing:
    """List the images of a folder's IDX files, in their order; everything is read and unpacked here, once.

    Raises:
        DataError: a file is missing, cut short or of another kind, or the folder holds other folders too.
    """
    visible = [entry for entry in os.scandir(folder) if not entry.name.startswith(".")]
    if folders := sorted((entry.name for entry in visible if entry.is_dir()), key=natural_key):
        raise DataError(
            f"data folder {str(folder)!r} mixes IDX files with folders ({', '.join(folders[:3])}); "
            "give the IDX files a folder of their own"
        )
    samples: list[Sample] = []
    files: dict[str, _File] = {}
    for begin, split in SPLIT_OF.items():
        images, labels = _find(folder, begin + IMAGES), _find(folder, begin + LABELS)
        if images is None and labels is None:
            continue
        if images is None or labels is None:
            there, absent = (labels, IMAGES) if images is None else (images, LABELS)
            raise DataError(f"{str(there)!r} has no {begin + absent!r} beside it; images and labels belong together")
        files[images.name], found = _read(images, 3), _read(labels, 1)
        if files[images.name].shape[0] != found.shape[0]:
            raise DataError(
                f"{str(images)!r} has {files[images.name].shape[0]} images, and {str(labels)!r} {found.shape[0]} "
                "labels; they do not belong together"
            )
        names = [str(number) for number in range(256)]
        samples += [Sample(f"{images.name}#{i}", names[c], split) for i, c in enumerate(found.data[found.header :])]
    others = len(visible) - 2 * len(files)
    return Listing(
        folder, tuple(samples), IdxImages(folder, files), {"files beside the IDX files": others} if others else {}
    )


def _names(*kinds: str) -> list[str]:
    return [kind + ending for kind in kinds for ending in ENDINGS]


def _find(folder: Path, name: str) -> Path | None:
    return next((folder / n for n in _names(name) if os.path.isfile(folder / n)), None)


def _read(path: Path, dimensions: int) -> _File:
    """Read a file and check its header, (count, ...) of unsigned bytes."""
    before = stamp(path)
    try:
        data = path.read_bytes()
        data = gzip.decompress(data) if path.suffix == ".gz" else data
    except EOFError:
        raise DataError(f"IDX file {str(path)!r} is cut short; get it again") from None
    except zlib.error as error:
        raise DataError(f"IDX file {str(path)!r} is damaged: {error}; get it again") from error
    except OSError as error:  # gzip.BadGzipFile too
        raise DataError(f"IDX file {str(path)!r} cannot be read: {error.strerror or error}") from error
    kind, header = bytes((0, 0, UNSIGNED_BYTE, dimensions)), 4 + 4 * dimensions
    if data[:4] != kind[: len(data)]:
        raise DataError(
            f"{str(path)!r} is no IDX file of {dimensions} dimension(s) of unsigned bytes: it begins with "
            f"{data[:4].hex(' ')}, not with {kind.hex(' ')}"
        )
    shape = struct.unpack(f">{dimensions}I", data[4:header]) if len(data) >= header else ()
    promised = header + math.prod(shape)
    if len(data) < promised or not shape:
        raise DataError(f"IDX file {str(path)!r} is cut short: it has {len(data)} of {promised} bytes; get it again")
    if len(data) > promised or 0 in shape:
        what = " x ".join(map(str, shape))
        raise DataError(f"IDX file {str(path)!r} has {len(data)} bytes, and its header says {what}; get it again")
    return _File(before, shape, header, data)

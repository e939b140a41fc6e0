"""Images read from their files each time they are asked for."""

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import DataError, MachineError
from . import decoding
from .reduction import Reduction
from .samples import Listing, Sample

Pixels = NDArray[np.uint8]

END_OF_IMAGE = b"\xff\xd9"  # of a JPEG file; without it OpenCV shows half a picture, where Pillow refuses


@dataclass(frozen=True)
class FileImages:
    """The pixels of files by their number, for training straight from them.

    Attributes:
        listing: where the files are.
        samples: of these, which were decoded once before; one that has a hash is held to it.
        reduction: what is made of each.
    """

    listing: Listing
    samples: Sequence[Sample]
    reduction: Reduction

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, number: int) -> Pixels:
        """Read and decode one, uint8 (H, W, channels).

        Raises:
            MachineError: it cannot be read any more.
            DataError: it has other bytes than when it was hashed, or cannot be decoded any more.
        """
        sample = self.samples[number]
        try:
            data = self.listing.read(sample)
            _check(sample, data)
            quick = _opencv(data, self.reduction)
            return decoding.decode(data, [self.reduction]).pixels[0] if quick is None else quick
        except decoding.UnreadableImageError as error:
            raise DataError(
                f"image {sample.path!r} cannot be read: {error}; look at the data with `convwise scan`"
            ) from error
        except OSError as error:
            raise MachineError(
                f"image {sample.path!r} cannot be read: {error.strerror or error}; what was trained is kept. "
                "See that the files can be read, and repeat the command"
            ) from error


def _check(sample: Sample, data: bytes) -> None:
    """Other bytes would be learnt from unnoticed, under the hash of the old ones."""
    if sample.sha256 and hashlib.sha256(data).hexdigest() != sample.sha256:
        raise DataError(
            f"image {sample.path!r} was changed after training began; put back the file as it was and repeat the "
            "command, or begin anew with --overwrite"
        )


def _opencv(data: bytes, reduction: Reduction) -> Pixels | None:
    """Decode a plain JPEG file by OpenCV; None where decoding.py has more to do, or to say.

    Both use libjpeg-turbo and give the same levels; this way takes a fifth less time, and other threads can go on.
    """
    if reduction.resize or reduction.channels != 3 or END_OF_IMAGE not in data[-32:]:
        return None
    try:
        header = Image.open(io.BytesIO(data), formats=("JPEG",))
        upright = header.getexif().get(decoding.ORIENTATION, 1) == 1
    except Exception:  # decoding.py will say why
        return None
    if header.format != "JPEG" or header.mode != "RGB" or not upright or reduction.reduction(*header.size) > 1:
        return None
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    pixels: Pixels | None = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    return pixels

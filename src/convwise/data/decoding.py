"""Bytes of an image file -> upright 8-bit pixels, by one rule for each kind of file.

The rules (version `DECODE_RULE`, see preprocessing.py): EXIF orientation is honoured; the first frame counts; alpha is
laid over white; palettes become RGB; CMYK and the like become RGB by Pillow; 16-bit levels are scaled to 0..255;
floating-point pixels are refused, since their range is unknown. A JPEG much larger than needed is decoded at 1/2, 1/4
or 1/8 by its own coefficients, and then always, so that one file gives the same pixels everywhere.
"""

import io
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import NamedTuple, Protocol

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from ..errors import DataError
from . import formats
from .preprocessing import DECODE_RULE

ORIENTATION = 0x0112


class UnreadableImageError(DataError):
    """An image file that cannot be used; the message is the reason alone, without the path."""


class Preparation(Protocol):
    """What makes an array of a decoded image: a `Preprocessing`, a `View` or a `Reduction`."""

    def reduction(self, width: int, height: int) -> int:
        """Factor (1, 2, 4 or 8) by which a JPEG of this size may be decoded smaller."""
        ...

    def apply(self, image: Image.Image) -> NDArray[np.uint8]:
        """An "L" or "RGB" image to uint8 (H, W, channels)."""
        ...


class Header(NamedTuple):
    """What a file says of itself: size in pixels as stored, before orientation."""

    format: str
    width: int
    height: int
    animated: bool


class Decoded(NamedTuple):
    """An image, prepared once for each preprocessing that was asked for."""

    header: Header
    pixels: tuple[NDArray[np.uint8], ...]


def read(path: str | os.PathLike[str]) -> bytes:
    """Read a regular file; a pipe or a device, which may never end, is refused.

    Raises:
        OSError: it cannot be read.
    """
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):
        raise OSError("a folder, not an image file" if stat.S_ISDIR(mode) else "not a regular file")
    with open(path, "rb") as file:
        return file.read()


def decode(data: bytes, preprocessings: Sequence[Preparation]) -> Decoded:
    """Decode a file's bytes and prepare the pixels for each preprocessing, uint8 (H, W, channels).

    Raises:
        UnreadableImageError: no image, cut short, or more pixels than Pillow's limit (about 179 megapixels).
    """
    with _reasons(data):
        image = _open(data)
        header = Header(image.format or "", *image.size, _is_animated(image))
        factors = [p.reduction(*image.size) if header.format in ("JPEG", "MPO") else 1 for p in preprocessings]
        upright: dict[int, Image.Image] = {}
        for factor in factors or [1]:
            if factor not in upright:
                image = image if not upright else _open(data)  # draft mode can be set only before the first load
                upright[factor] = _upright(image, factor)
        return Decoded(header, tuple(p.apply(upright[f]) for p, f in zip(preprocessings, factors, strict=True)))


def prepare(image: Image.Image, preprocessing: Preparation) -> NDArray[np.uint8]:
    """Prepare an image that is already open or in memory, by the same rules: uint8 (H, W, channels).

    Raises:
        UnreadableImageError: it cannot be loaded.
    """
    with _reasons(b""):
        return preprocessing.apply(_upright(image.copy(), 1))


def small(data: bytes, side: int) -> Image.Image:
    """Decode a picture to look at: upright, RGB, at most `side` pixels a side.

    Raises:
        UnreadableImageError: as `decode`.
    """
    with _reasons(data):
        image = _open(data)
        factor = max(f for f in (1, 2, 4, 8) if f == 1 or min(image.size) >= 2 * side * f)
        image = _upright(image, factor if image.format in ("JPEG", "MPO") else 1).convert("RGB")
        image.thumbnail((side, side))
        image.info.clear()  # comments and profiles of a private photo are nobody's business
        return image


def thumbnail(data: bytes, side: int) -> bytes:
    """Make a JPEG of at most `side` pixels a side, for a page.

    Raises:
        UnreadableImageError: as `decode`.
    """
    return as_jpeg(small(data, side))


def as_jpeg(image: Image.Image) -> bytes:
    """Encode an RGB picture for a page."""
    out = io.BytesIO()
    image.save(out, "JPEG", quality=85)
    return out.getvalue()


@cache
def rule() -> str:
    """Name of everything that decides the pixels of a file: our rule and the decoders installed here."""
    return "/".join([str(DECODE_RULE), f"pillow-{PIL.__version__}", *formats.versions()])


def _open(data: bytes) -> Image.Image:
    """Read the header only."""
    if not data:
        raise UnreadableImageError("zero bytes")
    if not formats.is_heic(data):
        return Image.open(io.BytesIO(data), formats=formats.READABLE)
    if not formats.has_heic():
        raise UnreadableImageError(formats.NEEDS_HEIC)
    formats.register_heic()
    return Image.open(io.BytesIO(data), formats=("HEIF", "AVIF"))


def _is_animated(image: Image.Image) -> bool:
    return image.format in ("GIF", "WEBP", "PNG", "AVIF", "TIFF") and bool(getattr(image, "is_animated", False))


def _upright(image: Image.Image, factor: int) -> Image.Image:
    """Load at 1 / factor, turn by EXIF, reduce to mode "L" or "RGB"."""
    if factor > 1:
        image.draft(None, (image.width // factor, image.height // factor))
    image.load()
    return _eight_bit(ImageOps.exif_transpose(image) if _orientation(image) in range(2, 9) else image)


def _orientation(image: Image.Image) -> object:
    try:
        return image.getexif().get(ORIENTATION)
    except Exception:  # a damaged EXIF block says nothing about the pixels: the image stays as stored
        return None


def _eight_bit(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        levels = np.clip(np.asarray(image, np.int64), 0, 65535)
        grey = ((levels * 255 + 32767) // 65535).astype(np.uint8)
        if isinstance(transparent := image.info.get("transparency"), int):
            grey[levels == transparent] = 255
        return Image.fromarray(grey)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    if image.mode == "F":
        raise UnreadableImageError("floating-point pixels, whose range is unknown")
    mode = "L" if image.mode in ("1", "L") else "RGB"
    return image if image.mode == mode else image.convert(mode)


@contextmanager
def _reasons(data: bytes) -> Iterator[None]:
    """Around decoders, which raise what they like on damaged bytes: each becomes a reason that the user sees."""
    try:
        yield
    except (MemoryError, UnreadableImageError):
        raise
    except Exception as error:
        raise UnreadableImageError(_reason(error, data)) from error


def _reason(error: Exception, data: bytes) -> str:
    """Say in a few words what is wrong with a file."""
    if isinstance(error, Image.DecompressionBombError):
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 1_000_000
        return f"too many pixels: more than the limit of {limit} megapixels"
    if isinstance(error, UnidentifiedImageError):
        return f"not an image that can be read ({len(data)} bytes)"
    text = str(error) or type(error).__name__
    if "out of memory" in text.lower():  # Pillow's codecs say so: it is the machine's fault, not the file's
        raise MemoryError(text) from error
    if "truncated" in text.lower() or "broken data stream" in text.lower():
        return "cut short (truncated)"
    return f"damaged: {' '.join(text.split())[:120]}"

"""What the tests of image files share: pictures, and the bytes of files that hold them."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from convwise.data.decoding import decode
from convwise.data.preprocessing import Preprocessing

COLOUR = (10, 120, 230)


def as_is(side: int, channels: int = 3) -> Preprocessing:
    """A preprocessing that keeps the pixels of a square image of this side."""
    return Preprocessing(channels=channels, resolution=side, crop=1.0, mean=(0.0,) * channels, std=(1.0,) * channels)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def pixels(data: bytes, side: int, channels: int = 3) -> NDArray[np.uint8]:
    (only,) = decode(data, [as_is(side, channels)]).pixels
    return only


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *extra: tuple[bytes, bytes]) -> bytes:
    """A PNG written chunk by chunk; `rows` with their filter bytes."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = [(b"IHDR", header), *extra, (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b"")]
    body = [struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def photo(width: int = 64, height: int = 64, seed: int = 0) -> Image.Image:
    """Smooth, so that a lossy codec keeps it."""
    small = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)

"""Formats of image files: their extensions, and which of them can be decoded on this machine."""

import importlib.util
import os
from functools import cache
from importlib import metadata

from PIL import features

# Extension -> what Pillow calls the format; MPO is what many phones write and call .jpg.
FORMATS = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), ("JPEG", "MPO")),
    **dict.fromkeys((".tif", ".tiff"), ("TIFF",)),
    **dict.fromkeys((".heic", ".heif"), ("HEIF",)),
    **dict.fromkeys((".ppm", ".pgm", ".pbm", ".pnm"), ("PPM",)),
    ".png": ("PNG",),
    ".webp": ("WEBP",),
    ".avif": ("AVIF",),
    ".bmp": ("BMP",),
    ".gif": ("GIF",),
}
# Pillow tries these in this order; the first five it has loaded anyway, and MPO comes with JPEG.
READABLE = ("JPEG", "PNG", "GIF", "BMP", "PPM", "WEBP", "TIFF", "AVIF")
NEEDS_HEIC = "HEIC needs an extra: pip install 'convwise[heic]'"


def extension_lies(path: str, image_format: str) -> bool:
    """Whether a file's extension names another format than its content has."""
    return image_format not in FORMATS.get(os.path.splitext(path)[1].lower(), (image_format,))


def is_heic(data: bytes) -> bool:
    """Whether a file's bytes begin as those of an HEIC file do."""
    brands = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1")
    return data[4:8] == b"ftyp" and data[8:12] in brands and b"avif" not in data[12:64]


def has_heic() -> bool:
    """Whether the extra is installed."""
    return importlib.util.find_spec("pi_heif") is not None


@cache
def register_heic() -> None:
    """Let Pillow open HEIC files."""
    import pi_heif

    pi_heif.register_heif_opener()


def versions() -> list[str]:
    """The libraries that decode, with their versions."""
    names = ("jpg", "libjpeg_turbo", "webp", "avif", "libtiff", "zlib")
    found = [f"{name}-{features.version(name)}" for name in names]
    return [*found, f"heic-{metadata.version('pi-heif') if has_heic() else None}"]

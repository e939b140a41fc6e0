"""Each format that is read, by its content and not by its name, and what HEIC needs."""

import importlib.util
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import pytest
from PIL import Image, features

from convwise.data import decoding, formats
from convwise.data.decoding import UnreadableImageError, decode, rule, thumbnail
from convwise.data.formats import NEEDS_HEIC, extension_lies
from convwise.data.preprocessing import DECODE_RULE

from .encoding import COLOUR, as_is, encoded, photo, pixels


def test_the_first_frame_of_a_gif_counts() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in (COLOUR, (255, 0, 0), (0, 255, 0))]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    found = decode(data, [as_is(4)])
    assert found.header == ("GIF", 4, 4, True)
    assert np.abs(found.pixels[0].astype(int) - COLOUR).max() == 0


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_several_frames_are_noted(kind: str) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in (COLOUR, (255, 0, 0))]
    assert decode(encoded(frames[0], kind, save_all=True, append_images=frames[1:]), []).header.animated
    assert not decode(encoded(frames[0], kind), []).header.animated


def test_the_header_has_the_size_as_stored() -> None:
    exif = Image.Exif()
    exif[decoding.ORIENTATION] = 6
    assert decode(encoded(photo(80, 60), "JPEG", exif=exif), []).header == ("JPEG", 80, 60, False)


@pytest.mark.parametrize(
    ("kind", "options", "tolerance"),
    [
        ("PNG", {}, 0), ("BMP", {}, 0), ("TIFF", {}, 0), ("WEBP", {"lossless": True}, 0), ("WEBP", {"quality": 90}, 16),
        ("AVIF", {"quality": 90}, 16), ("JPEG", {"quality": 95}, 16),
    ],
)  # fmt: skip
def test_every_format_gives_the_picture(kind: str, options: dict[str, Any], tolerance: int) -> None:
    image = photo()
    found = decode(encoded(image, kind, **options), [as_is(64)])
    assert found.header == (kind, 64, 64, False)
    assert np.abs(found.pixels[0].astype(int) - np.asarray(image)).max() <= tolerance


def test_what_phones_write_is_read_as_a_jpeg() -> None:
    image = photo(400, 400)
    data = encoded(image, "MPO", save_all=True, append_images=[photo(400, 400, seed=1)], quality=95)
    found = decode(data, [as_is(40)])
    assert found.header == ("MPO", 400, 400, False)
    assert np.array_equal(found.pixels[0], pixels(encoded(image, "JPEG", quality=95), 40))


def test_plain_levels_behind_a_short_header_are_an_image() -> None:
    found = decode(b"P5 3 2 255\n" + bytes((0, 50, 100, 150, 200, 255)), [as_is(2, channels=1)])
    assert found.header == ("PPM", 3, 2, False)
    with pytest.raises(UnreadableImageError, match=r"^cut short \(truncated\)$"):
        decode(b"P5 3 2 255\n" + bytes(5), [])


@pytest.mark.parametrize("kind", ["ICO", "TGA", "PCX", "EPS", "PDF"])
def test_formats_beyond_the_list_are_not_opened(kind: str) -> None:
    with pytest.raises(UnreadableImageError, match=r"^not an image that can be read"):
        decode(encoded(Image.new("RGB", (16, 16)), kind), [])


def test_a_png_named_jpg_is_read_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(encoded(photo(), "PNG"))
    found = decode(path.read_bytes(), [as_is(64)])
    assert found.header.format == "PNG"
    assert extension_lies(str(path), found.header.format)


@pytest.mark.parametrize(
    ("path", "kind", "lies"),
    [
        ("a.jpg", "JPEG", False), ("a.JPEG", "MPO", False), ("a.jfif", "JPEG", False), ("a.jpg", "WEBP", True),
        ("a.tif", "TIFF", False), ("a.png", "JPEG", True), ("a.heic", "HEIF", False), ("a.heic", "JPEG", True),
        ("a.unknown", "PNG", False), ("dir.png/a", "JPEG", False),
    ],
)  # fmt: skip
def test_an_extension_lies_when_the_content_is_of_another_format(path: str, kind: str, lies: bool) -> None:
    assert extension_lies(path, kind) is lies


@pytest.fixture
def no_heic(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine without the extra."""
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pi_heif" else real(name))
    formats.register_heic.cache_clear()
    rule.cache_clear()
    yield
    monkeypatch.undo()
    formats.register_heic.cache_clear()
    rule.cache_clear()


def heic(brand: bytes = b"heic") -> bytes:
    return b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1heic" + bytes(64)


@pytest.mark.usefixtures("no_heic")
@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1"])
def test_heic_without_the_extra_says_what_to_install(brand: bytes) -> None:
    assert NEEDS_HEIC == "HEIC needs an extra: pip install 'convwise[heic]'"
    for use in (lambda: decode(heic(brand), []), lambda: thumbnail(heic(brand), 160)):
        with pytest.raises(UnreadableImageError) as caught:
            use()
        assert str(caught.value) == NEEDS_HEIC


@pytest.mark.usefixtures("no_heic")
def test_other_formats_do_not_need_the_extra() -> None:
    assert decode(encoded(photo(), "AVIF"), [as_is(64)]).header.format == "AVIF"
    assert rule().endswith("/heic-None")


def test_the_rule_names_the_decoders() -> None:
    pytest.importorskip("pi_heif")
    start = f"{DECODE_RULE}/pillow-{PIL.__version__}/jpg-{features.version('jpg')}/"
    assert rule().startswith(start)
    assert rule().endswith(f"/heic-{version('pi-heif')}")


def test_damaged_heic_has_a_reason() -> None:
    pytest.importorskip("pi_heif")
    with pytest.raises(UnreadableImageError, match=r"^(damaged: |not an image that can be read|cut short)"):
        decode(heic(), [])

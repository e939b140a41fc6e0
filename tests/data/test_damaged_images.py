"""What cannot be decoded: cut short, damaged, too large, no image at all, each with its reason."""

import io
import warnings

import numpy as np
import pytest
from PIL import Image

from convwise.data import decoding
from convwise.data.decoding import UnreadableImageError, decode, prepare, thumbnail

from .encoding import as_is, encoded, photo, pixels, png


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("share", [0.5, 0.9])
@pytest.mark.parametrize("side", [16, 256])
def test_a_file_cut_short_is_refused(kind: str, share: float, side: int) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8))
    data = encoded(image, kind)
    for wanted in ([as_is(side)], []):
        with pytest.raises(UnreadableImageError, match=r"^cut short \(truncated\)$"):
            decode(data[: int(share * len(data))], wanted)


def test_zero_bytes_are_named() -> None:
    with pytest.raises(UnreadableImageError, match=r"^zero bytes$"):
        decode(b"", [])


def test_text_is_no_image() -> None:
    with pytest.raises(UnreadableImageError, match=r"^not an image that can be read \(11 bytes\)$"):
        decode(b"hello world", [])


def test_a_header_without_an_image_is_damaged_or_short() -> None:
    with pytest.raises(UnreadableImageError):
        decode(encoded(photo(), "PNG")[:40], [])
    with pytest.raises(UnreadableImageError):
        decode(encoded(photo(), "JPEG")[:100], [])


def test_a_checksum_that_is_wrong_is_damage() -> None:
    data = bytearray(encoded(photo(), "PNG"))
    data[17] ^= 1  # the width, under the checksum of IHDR
    with pytest.raises(UnreadableImageError, match=r"^(damaged: |not an image that can be read)"):
        decode(bytes(data), [])


def reason(data: bytes) -> str:
    """Why bytes cannot be decoded; empty when they can."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of metadata
        try:
            decode(data, [as_is(32)])
        except UnreadableImageError as error:
            return str(error)
    return ""


def test_every_damage_has_a_reason_of_one_short_line() -> None:
    rng = np.random.default_rng(0)
    reasons = []
    for kind in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "AVIF"):
        good = encoded(photo(), kind)
        for _ in range(15):
            data = bytearray(good)
            for place in rng.integers(0, len(data), 8):
                data[place] = rng.integers(256)
            reasons.append(reason(bytes(data)))
    assert sum(map(bool, reasons)) > 20
    assert max(map(len, reasons)) <= 140
    assert not any("\n" in text for text in reasons)


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    row = b"\0" + bytes(20_000 // 8)
    data = png(20_000, 20_000, 1, 0, row * 20_000)
    assert len(data) < 100_000
    with pytest.raises(UnreadableImageError, match=r"^too many pixels: more than the limit of 178 megapixels$"):
        decode(data, [])


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_hundred_megapixels_are_decoded() -> None:
    row = b"\0" + b"\xff" * (10_000 // 8)
    data = png(10_000, 10_000, 1, 0, row * 10_000)
    assert (pixels(data, 2, 1) == 255).all()


def test_out_of_memory_is_no_fault_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: object) -> Image.Image:
        raise MemoryError

    monkeypatch.setattr(decoding, "_upright", load)
    with pytest.raises(MemoryError):
        decode(encoded(photo(), "PNG"), [])
    with pytest.raises(MemoryError):
        prepare(photo(), as_is(4))
    with pytest.raises(MemoryError):
        thumbnail(encoded(photo(), "PNG"), 32)


def test_an_open_image_that_cannot_be_loaded_is_refused() -> None:
    data = encoded(photo(256, 256), "PNG")
    image = Image.open(io.BytesIO(data[: len(data) // 2]))
    with pytest.raises(UnreadableImageError, match=r"^cut short \(truncated\)$"):
        prepare(image, as_is(16))


def test_a_thumbnail_of_a_damaged_file_is_refused() -> None:
    with pytest.raises(UnreadableImageError, match=r"^not an image that can be read"):
        thumbnail(b"hello", 160)

import importlib.util
import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import pytest
from numpy.typing import NDArray
from PIL import Image, features

from convwise.data import decoding, formats
from convwise.data.decoding import UnreadableImageError, decode, prepare, rule, thumbnail
from convwise.data.formats import NEEDS_HEIC, extension_lies
from convwise.data.preprocessing import DECODE_RULE, Preprocessing

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


# What a viewer shows of the stored rows [[1, 2, 3], [4, 5, 6], [7, 8, 9]] (times 20) for each EXIF orientation
UPRIGHT = {
    1: [[1, 2, 3], [4, 5, 6], [7, 8, 9]],
    2: [[3, 2, 1], [6, 5, 4], [9, 8, 7]],  # mirrored left to right
    3: [[9, 8, 7], [6, 5, 4], [3, 2, 1]],  # upside down
    4: [[7, 8, 9], [4, 5, 6], [1, 2, 3]],  # mirrored top to bottom
    5: [[1, 4, 7], [2, 5, 8], [3, 6, 9]],  # transposed
    6: [[7, 4, 1], [8, 5, 2], [9, 6, 3]],  # to be turned clockwise
    7: [[9, 6, 3], [8, 5, 2], [7, 4, 1]],  # transposed along the other diagonal
    8: [[3, 6, 9], [2, 5, 8], [1, 4, 7]],  # to be turned anticlockwise
}


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation_is_honoured(orientation: int, kind: str) -> None:
    stored = Image.fromarray((np.arange(1, 10).reshape(3, 3) * 20).astype(np.uint8)).convert("RGB")
    exif = Image.Exif()
    exif[decoding.ORIENTATION] = orientation
    data = encoded(stored, kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
    expected = (np.array(UPRIGHT[orientation]) * 20).tolist()
    assert pixels(data, 3, 1)[:, :, 0].tolist() == expected
    opened = prepare(Image.open(io.BytesIO(data)), as_is(3, 1))  # the same rule for an image that is already open
    assert opened[:, :, 0].tolist() == expected


@pytest.mark.parametrize("orientation", [3, 6])
def test_exif_orientation_of_a_reduced_jpeg_is_honoured(orientation: int) -> None:
    exif = Image.Exif()
    exif[decoding.ORIENTATION] = orientation
    stored = Image.fromarray(np.kron([[30, 90], [150, 210]], np.ones((128, 128))).astype(np.uint8))
    out = pixels(encoded(stored, "JPEG", exif=exif, quality=95), 16, 1)[::15, ::15, 0]  # the corners
    expected = {3: [[210, 150], [90, 30]], 6: [[150, 30], [210, 90]]}[orientation]
    assert np.abs(out.astype(int) - expected).max() <= 3


def test_an_orientation_that_does_not_exist_changes_nothing() -> None:
    exif = Image.Exif()
    exif[decoding.ORIENTATION] = 9
    stored = Image.fromarray(np.arange(9, dtype=np.uint8).reshape(3, 3))
    assert np.array_equal(pixels(encoded(stored, "PNG", exif=exif), 3, 1)[:, :, 0], np.asarray(stored))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")
def test_a_damaged_exif_block_leaves_the_image_as_it_is() -> None:
    good = photo()
    damaged = encoded(good, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01\x03\0\x01")
    assert np.array_equal(pixels(damaged, 64), pixels(encoded(good, "JPEG"), 64))


def test_grey_becomes_three_equal_channels() -> None:
    data = encoded(Image.fromarray(np.array([[0, 77], [128, 255]], np.uint8)), "PNG")
    assert pixels(data, 2)[..., 0].tolist() == [[0, 77], [128, 255]]
    assert (pixels(data, 2) == pixels(data, 2)[..., :1]).all()


def test_a_palette_becomes_its_colours() -> None:
    image = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8)).convert("P")
    image.putpalette([*COLOUR, 200, 100, 0])
    expected = [[[*COLOUR], [200, 100, 0]], [[200, 100, 0], [*COLOUR]]]
    for kind in ("PNG", "GIF", "BMP"):
        assert pixels(encoded(image, kind), 2).tolist() == expected, kind


def test_what_is_transparent_in_a_palette_becomes_white() -> None:
    image = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8)).convert("P")
    image.putpalette([*COLOUR, 200, 100, 0])
    one = encoded(image, "PNG", transparency=1)
    several = encoded(image, "PNG", transparency=bytes([255, 0]))  # an alpha for each colour
    expected = [[[*COLOUR], [255, 255, 255]], [[255, 255, 255], [*COLOUR]]]
    assert pixels(one, 2).tolist() == expected
    assert pixels(several, 2).tolist() == expected
    assert pixels(encoded(image, "GIF", transparency=1), 2).tolist() == expected


def test_alpha_is_laid_over_white() -> None:
    rgba = np.array([[[*COLOUR, 255], [*COLOUR, 0]], [[0, 0, 0, 128], [100, 0, 200, 51]]], np.uint8)
    out = pixels(encoded(Image.fromarray(rgba), "PNG"), 2).astype(int)
    # colour * a + 255 * (1 - a), with a = 128 / 255 and 51 / 255 = 0.2
    expected = np.array([[[*COLOUR], [255] * 3], [[127] * 3, [224, 204, 244]]])
    assert np.abs(out - expected).max() <= 1
    assert out[0, 0].tolist() == [*COLOUR]
    assert out[0, 1].tolist() == [255] * 3


def test_grey_with_alpha_is_laid_over_white() -> None:
    la = np.array([[[40, 255], [40, 0]], [[0, 51], [200, 255]]], np.uint8)
    out = pixels(encoded(Image.fromarray(la), "PNG"), 2, 1)
    assert np.abs(out[..., 0].astype(int) - [[40, 255], [204, 200]]).max() <= 1


def test_a_colour_key_of_a_png_becomes_white() -> None:
    image = Image.fromarray(np.array([[[*COLOUR], [1, 2, 3]], [[1, 2, 3], [*COLOUR]]], np.uint8))
    out = pixels(encoded(image, "PNG", transparency=COLOUR), 2)
    assert out.tolist() == [[[255] * 3, [1, 2, 3]], [[1, 2, 3], [255] * 3]]


def test_cmyk_becomes_rgb() -> None:
    cmyk = Image.new("CMYK", (8, 8), (255, 0, 0, 51))  # cyan: no red, the others times 1 - 0.2
    for kind, options in (("TIFF", {}), ("JPEG", {"quality": 100})):
        out = pixels(encoded(cmyk, kind, **options), 8).astype(int)
        assert np.abs(out - [0, 204, 204]).max() <= 2, kind


def test_ycbcr_in_a_jpeg_becomes_rgb() -> None:
    out = pixels(encoded(Image.new("RGB", (8, 8), COLOUR), "JPEG", quality=100), 8).astype(int)
    assert np.abs(out - COLOUR).max() <= 2


def test_16_bit_levels_are_scaled() -> None:
    levels = np.array([[0, 257 * 3], [257 * 200, 65535]], np.uint16)
    for kind in ("PNG", "TIFF"):
        assert pixels(encoded(Image.fromarray(levels), kind), 2, 1)[..., 0].tolist() == [[0, 3], [200, 255]], kind


def test_16_bit_levels_are_rounded_to_the_nearest() -> None:
    # k * 257 +- 128 is nearest to k: the border to k + 1 lies at k * 257 + 128.5
    levels = np.array([[128, 129], [257 * 250 - 128, 257 * 250 + 129]], np.uint16)
    assert pixels(encoded(Image.fromarray(levels), "PNG"), 2, 1)[..., 0].tolist() == [[0, 1], [250, 251]]


def test_big_endian_16_bit_levels_are_scaled() -> None:
    image = Image.frombytes("I;16B", (2, 1), struct.pack(">HH", 257 * 4, 65535))
    data = encoded(image, "TIFF")
    assert decode(data, [Preprocessing(resolution=2, fit="squash")]).pixels[0][0, :, 0].tolist() == [4, 255]


def test_integers_beyond_16_bits_are_clipped() -> None:
    image = Image.fromarray(np.array([[-5, 257], [65535, 10**6]], np.int32))
    assert pixels(encoded(image, "TIFF"), 2, 1)[..., 0].tolist() == [[0, 1], [255, 255]]


def test_a_transparent_16_bit_level_becomes_white_and_the_others_stay() -> None:
    rows = b"".join(b"\0" + struct.pack(">HH", *row) for row in ((257 * 64, 257 * 128), (257, 65535)))
    data = png(2, 2, 16, 0, rows, (b"tRNS", struct.pack(">H", 257 * 128)))
    assert pixels(data, 2, 1)[..., 0].tolist() == [[64, 255], [1, 255]]


def test_16_bit_colours_are_scaled() -> None:
    rows = b"".join(b"\0" + struct.pack(">HHH", *(257 * level for level in (0, k, 255))) for k in (100, 101))
    data = png(1, 2, 16, 2, rows)
    out = decode(data, [Preprocessing(resolution=2, fit="squash")]).pixels[0]
    assert out[:, 0].tolist() == [[0, 100, 255], [0, 101, 255]]


def test_one_bit_becomes_black_and_white() -> None:
    image = Image.fromarray(np.array([[True, False], [False, True]]))
    assert image.mode == "1"
    assert pixels(encoded(image, "PNG"), 2, 1)[..., 0].tolist() == [[255, 0], [0, 255]]


def test_floating_point_pixels_are_refused() -> None:
    data = encoded(Image.fromarray(np.ones((2, 2), np.float32)), "TIFF")
    with pytest.raises(UnreadableImageError, match=r"^floating-point pixels, whose range is unknown$"):
        pixels(data, 2)


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


def test_a_large_jpeg_is_reduced_by_its_own_coefficients(monkeypatch: pytest.MonkeyPatch) -> None:
    image = photo(512, 512)
    data = encoded(image, "JPEG", quality=95)
    loaded = []
    real = Preprocessing.apply

    def apply(self: Preprocessing, image: Image.Image) -> NDArray[np.uint8]:
        loaded.append(image.size)
        return real(self, image)

    monkeypatch.setattr(Preprocessing, "apply", apply)
    for side in (31, 32, 33, 64, 128, 129):
        out = pixels(data, side)
        width, height = loaded[-1]
        assert min(width, height) >= 2 * side or (width, height) == (512, 512)
        expected = image.resize((side, side), Image.Resampling.BICUBIC)
        assert np.abs(out.astype(int) - np.asarray(expected)).mean() < 4
    assert [size[0] for size in loaded] == [64, 64, 128, 128, 256, 512]


def test_pixels_do_not_depend_on_what_else_is_asked_for() -> None:
    data = encoded(photo(600, 500), "JPEG", quality=90)
    wanted = [as_is(224), as_is(28, 1), as_is(64), Preprocessing(resolution=28, fit="pad")]
    alone = [decode(data, [one]).pixels[0] for one in wanted]
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [1, 1, 0]):
        together = decode(data, [wanted[i] for i in order]).pixels
        assert all(np.array_equal(alone[i], got) for i, got in zip(order, together, strict=True))


def test_other_formats_are_not_reduced() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8))
    expected = image.resize((16, 16), Image.Resampling.BICUBIC)
    assert np.array_equal(pixels(encoded(image, "PNG"), 16), np.asarray(expected))


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


def test_plain_levels_behind_a_short_header_are_an_image() -> None:
    found = decode(b"P5 3 2 255\n" + bytes((0, 50, 100, 150, 200, 255)), [as_is(2, channels=1)])
    assert found.header == ("PPM", 3, 2, False)
    with pytest.raises(UnreadableImageError, match=r"^cut short \(truncated\)$"):
        decode(b"P5 3 2 255\n" + bytes(5), [])


@pytest.mark.parametrize("kind", ["ICO", "TGA", "PCX", "EPS", "PDF"])
def test_formats_beyond_the_list_are_not_opened(kind: str) -> None:
    with pytest.raises(UnreadableImageError, match=r"^not an image that can be read"):
        decode(encoded(Image.new("RGB", (16, 16)), kind), [])


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


def test_preparing_an_open_image_leaves_it_as_it_was() -> None:
    image = photo().convert("RGBA")
    prepare(image, as_is(16))
    assert (image.mode, image.size) == ("RGBA", (64, 64))


@pytest.mark.parametrize(
    ("width", "height", "size"), [(400, 300, (160, 120)), (90, 2000, (7, 160)), (50, 40, (50, 40))]
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_thumbnail_is_a_small_upright_jpeg(kind: str, width: int, height: int, size: tuple[int, int]) -> None:
    exif = Image.Exif()
    exif[decoding.ORIENTATION] = 6
    small = Image.open(io.BytesIO(thumbnail(encoded(photo(width, height), kind, exif=exif), 160)))
    assert small.format == "JPEG"
    assert small.size == size[::-1]


def test_a_thumbnail_of_a_damaged_file_is_refused() -> None:
    with pytest.raises(UnreadableImageError, match=r"^not an image that can be read"):
        thumbnail(b"hello", 160)


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

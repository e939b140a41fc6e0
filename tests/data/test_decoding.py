"""The pixels of a file: which way up, by which rule for each kind, and of which size."""

import io
import struct

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from convwise.data import decoding
from convwise.data.decoding import UnreadableImageError, decode, prepare, thumbnail
from convwise.data.preprocessing import Preprocessing

from .encoding import COLOUR, as_is, encoded, photo, pixels, png

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

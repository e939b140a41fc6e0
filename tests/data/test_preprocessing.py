import json
import re
from typing import Any

import numpy as np
import pytest
from PIL import Image

from convwise.data.preprocessing import DECODE_RULE, Preprocessing
from convwise.errors import DataError, UsageError

GREY = {"channels": 1, "mean": (0.0,), "std": (1.0,)}


def ramp(width: int, height: int) -> Image.Image:
    """Grey levels that name their pixel: 10 a row, 1 a column."""
    return Image.fromarray((np.arange(height)[:, None] * 10 + np.arange(width)).astype(np.uint8))


def test_the_centre_square_is_cut_at_whole_pixels() -> None:
    # 5 x 4 pixels, 0.75 of the shorter side is 3; left (5 - 3) // 2 = 1, top (4 - 3) // 2 = 0
    out = Preprocessing(resolution=3, crop=0.75, **GREY).apply(ramp(5, 4))  # type: ignore[arg-type]
    assert out.dtype == np.uint8
    assert out[:, :, 0].tolist() == [[1, 2, 3], [11, 12, 13], [21, 22, 23]]


@pytest.mark.parametrize(
    ("width", "height", "crop", "side", "left", "top"),
    [(7, 9, 1.0, 7, 0, 1), (9, 7, 1.0, 7, 1, 0), (8, 9, 0.7, 5, 1, 2), (6, 6, 0.5, 3, 1, 1), (2, 2, 0.01, 1, 0, 0)],
)
def test_the_side_of_the_crop_is_rounded_down(
    width: int, height: int, crop: float, side: int, left: int, top: int
) -> None:
    out = Preprocessing(resolution=side, crop=crop, **GREY).apply(ramp(width, height))  # type: ignore[arg-type]
    expected = np.asarray(ramp(width, height))[top : top + side, left : left + side]
    assert out[:, :, 0].tolist() == expected.tolist()


def test_crop_then_resize_is_pillow_s_antialiased_resize_of_the_crop() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 61, 3), np.uint8))
    for name, filter_ in (("bicubic", Image.Resampling.BICUBIC), ("bilinear", Image.Resampling.BILINEAR)):
        out = Preprocessing(resolution=12, crop=0.875, interpolation=name).apply(image)
        expected = image.crop((13, 2, 48, 37)).resize((12, 12), filter_)
        assert np.array_equal(out, np.asarray(expected))


def test_a_resize_averages_what_it_shrinks() -> None:
    # each output pixel stands for 2 x 2 equal ones; a resize without antialiasing would pass this, the next not
    image = Image.fromarray(np.kron(np.array([[0, 200], [100, 50]]), np.ones((8, 8))).astype(np.uint8))
    checks = Image.fromarray(((np.indices((16, 16)).sum(axis=0) % 2) * 255).astype(np.uint8))
    squash = Preprocessing(resolution=4, fit="squash", interpolation="bilinear", **GREY)  # type: ignore[arg-type]
    assert squash.apply(image)[[0, 0, 3, 3], [0, 3, 0, 3], 0].tolist() == [0, 200, 100, 50]
    assert np.abs(squash.apply(checks).astype(int) - 127).max() <= 2


def test_squash_ignores_the_aspect() -> None:
    image = Image.fromarray(np.array([[0] * 8 + [255] * 8] * 4, np.uint8))
    out = Preprocessing(resolution=2, fit="squash", interpolation="bilinear", **GREY).apply(image)  # type: ignore[arg-type]
    assert out.shape == (2, 2, 1)
    assert (out[:, 0] < 40).all()
    assert (out[:, 1] > 215).all()


def test_pad_keeps_the_whole_image_between_black_bars() -> None:
    white = Image.new("L", (8, 4), 255)
    pad = Preprocessing(resolution=8, fit="pad", **GREY)  # type: ignore[arg-type]
    assert pad.apply(white)[:, 0, 0].tolist() == [0, 0, 255, 255, 255, 255, 0, 0]
    assert pad.apply(white.rotate(90, expand=True))[0, :, 0].tolist() == [0, 0, 255, 255, 255, 255, 0, 0]


def test_pad_puts_the_odd_row_below_and_keeps_a_pixel_of_the_thinnest_image() -> None:
    pad = Preprocessing(resolution=6, fit="pad", **GREY)  # type: ignore[arg-type]
    assert pad.apply(Image.new("L", (6, 3), 255))[:, 0, 0].tolist() == [0, 255, 255, 255, 0, 0]
    assert pad.apply(Image.new("L", (100, 1), 255)).max() == 255


def test_colour_becomes_luma_and_grey_becomes_three_equal_channels() -> None:
    red = Image.new("RGB", (4, 4), (255, 0, 0))
    grey = Preprocessing(resolution=2, crop=1, **GREY).apply(red)  # type: ignore[arg-type]
    assert grey.shape == (2, 2, 1)
    assert (grey == 76).all()  # ITU-R 601: 0.299 * 255
    colour = Preprocessing(resolution=2, crop=1).apply(Image.new("L", (4, 4), 9))
    assert colour.shape == (2, 2, 3)
    assert (colour == 9).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (3, 2)])
@pytest.mark.parametrize("fit", ["crop", "pad", "squash"])
def test_any_size_gives_the_network_s_shape(size: tuple[int, int], fit: Any) -> None:
    record = Preprocessing(resolution=7, fit=fit)
    assert record.apply(Image.new("RGB", size)).shape == record.shape == (7, 7, 3)


@pytest.mark.parametrize(
    ("fit", "width", "height", "factor"),
    [
        ("crop", 1023, 2000, 4), ("crop", 1024, 2000, 8), ("crop", 255, 255, 1), ("crop", 256, 400, 2),
        ("crop", 10**5, 10**5, 8), ("squash", 512, 9000, 4), ("pad", 100, 512, 4), ("pad", 100, 511, 2),
    ],
)  # fmt: skip
def test_at_least_twice_the_target_is_left_of_a_reduced_jpeg(fit: Any, width: int, height: int, factor: int) -> None:
    assert Preprocessing(resolution=64, fit=fit, crop=1.0).reduction(width, height) == factor


def test_the_crop_counts_for_the_reduction() -> None:
    assert Preprocessing(resolution=64, crop=0.5).reduction(512, 512) == 2
    assert Preprocessing(resolution=64, crop=0.49).reduction(512, 512) == 1


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"channels": 2}, "preprocessing channels must be 1 or 3, got 2"),
        ({"fit": "stretch"}, "preprocessing fit must be one of crop, pad, squash, got 'stretch'"),
        (
            {"interpolation": "nearest"},
            "preprocessing interpolation must be one of bicubic, bilinear, got 'nearest'",
        ),
        ({"crop": 0.0}, "preprocessing crop must be a share in (0, 1], got 0.0"),
        ({"crop": 1.1}, "preprocessing crop must be a share in (0, 1], got 1.1"),
        ({"crop": float("nan")}, "preprocessing crop must be a share in (0, 1], got nan"),
        ({"resolution": 0}, "preprocessing resolution must be at least 1 pixel, got 0"),
        (
            {"channels": 1},
            f"preprocessing mean and std need 1 numbers each, std above 0, got {(127.0,) * 3}, {(128.0,) * 3}",
        ),
        (
            {"std": (1.0, 0.0, 1.0)},
            "preprocessing mean and std need 3 numbers each, std above 0, got (127.0, 127.0, 127.0), (1.0, 0.0, 1.0)",
        ),
    ],
)
def test_a_field_that_cannot_be_used_is_refused(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(UsageError, match=f"^{re.escape(text)}$"):
        Preprocessing(**fields)


def test_a_record_survives_json() -> None:
    record = Preprocessing(
        channels=1, resolution=28, fit="pad", crop=1.0, interpolation="bilinear", mean=(1.5,), std=(2.5,)
    )
    assert Preprocessing.from_json(json.loads(json.dumps(record.to_json()))) == record


def test_another_decode_rule_is_refused() -> None:
    record = Preprocessing().to_json() | {"decode_rule": DECODE_RULE + 1}
    text = (
        f"the classifier decodes images by rule {DECODE_RULE + 1}, this convwise by rule {DECODE_RULE}; "
        "fit it again, or use the convwise that wrote it"
    )
    with pytest.raises(DataError, match=f"^{re.escape(text)}$"):
        Preprocessing.from_json(record)


@pytest.mark.parametrize("field", list(Preprocessing().to_json()))
def test_a_record_that_lacks_a_field_is_damaged(field: str) -> None:
    record = Preprocessing().to_json()
    del record[field]
    with pytest.raises(DataError, match=f"^the preprocessing record cannot be read: .*{field}"):
        Preprocessing.from_json(record)


@pytest.mark.parametrize(
    "change", [{"gamma": 1}, {"channels": 2}, {"mean": None}, {"mean": 3}, {"resolution": "224"}, {"std": [0, 0, 0]}]
)
def test_a_record_with_an_unknown_or_impossible_field_is_damaged(change: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=r"^the preprocessing record cannot be read: "):
        Preprocessing.from_json(Preprocessing().to_json() | change)

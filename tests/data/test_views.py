import re

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from convwise.data.preprocessing import Preprocessing
from convwise.data.views import PLACES, View, views_of
from convwise.errors import UsageError

LITE0 = Preprocessing()  # 224 pixels, crop 0.875


def noise(width: int, height: int, channels: int = 3) -> NDArray[np.uint8]:
    shape = (height, width, channels)[: 3 if channels > 1 else 2]
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def ten(preprocessing: Preprocessing, pixels: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    return [view.apply(Image.fromarray(pixels)) for view in views_of(preprocessing, "10")]


def test_of_256_pixels_the_ten_are_the_paper_s_to_the_pixel() -> None:
    # AlexNet, section 4.1: the four corner patches and the centre of 224 x 224, and their reflections
    pixels = noise(256, 256)
    five = [pixels[:224, :224], pixels[:224, 32:], pixels[32:, :224], pixels[32:, 32:], pixels[16:240, 16:240]]
    found = ten(LITE0, pixels)
    assert len(found) == 10
    for got, expected in zip(found, [*five, *(patch[:, ::-1] for patch in five)], strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(("width", "height"), [(400, 300), (300, 401), (97, 61)])
def test_of_other_sizes_they_are_cut_from_the_central_square_then_resized(width: int, height: int) -> None:
    pixels, side = noise(width, height), min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    square = pixels[top : top + side, left : left + side]
    patch = int(side * 0.875)
    corners = [square[:patch, :patch], square[:patch, -patch:], square[-patch:, :patch], square[-patch:, -patch:]]
    expected = [np.asarray(Image.fromarray(c).resize((224, 224), Image.Resampling.BICUBIC)) for c in corners]
    found = ten(LITE0, pixels)
    for got, image in zip(found[:4], expected, strict=True):
        np.testing.assert_array_equal(got, image)
    np.testing.assert_array_equal(found[4], LITE0.apply(Image.fromarray(pixels)))
    for straight, mirrored in zip(found[:5], found[5:], strict=True):
        np.testing.assert_array_equal(mirrored, straight[:, ::-1])


def test_without_a_margin_of_its_own_the_patches_are_the_paper_s_share() -> None:
    grey = Preprocessing(channels=1, resolution=28, crop=1.0, mean=(0,), std=(255,))
    pixels = noise(32, 32, 1)
    found = ten(grey, pixels)
    np.testing.assert_array_equal(found[3][:, :, 0], pixels[4:, 4:])
    np.testing.assert_array_equal(found[4][:, :, 0], pixels[2:30, 2:30])
    assert not any(view.preprocessing == grey for view in views_of(grey, "10"))  # none is what predict looks at


def test_flip_is_the_image_and_its_mirror_image() -> None:
    for preprocessing in (LITE0, Preprocessing(fit="squash"), Preprocessing(fit="pad")):
        plain, mirrored = views_of(preprocessing, "flip")
        image = Image.fromarray(noise(300, 200))
        np.testing.assert_array_equal(plain.apply(image), preprocessing.apply(image))
        np.testing.assert_array_equal(mirrored.apply(image), preprocessing.apply(image)[:, ::-1])
        assert (plain.plain, mirrored.plain) == (True, False)


def test_one_of_the_ten_is_what_a_single_prediction_looks_at() -> None:
    views = views_of(LITE0, "10")
    assert [view.plain for view in views] == [False] * 4 + [True] + [False] * 5
    assert [view.name for view in views] == [*PLACES, *(f"{place}, mirrored" for place in PLACES)]
    assert views[4] == View(LITE0) == views_of(LITE0, "flip")[0]


def test_an_image_of_one_pixel_has_ten_views() -> None:
    assert {view.shape for view in ten(LITE0, noise(1, 1))} == {(224, 224, 3)}


def test_a_view_needs_no_more_of_a_jpeg_than_the_preprocessing() -> None:
    for view in views_of(LITE0, "10"):
        assert view.reduction(3000, 2000) == LITE0.reduction(3000, 2000) > 1


@pytest.mark.parametrize("fit", ["pad", "squash"])
def test_a_preprocessing_that_does_not_crop_has_no_corners(fit: str) -> None:
    text = (
        f"views 10 are crops, and the classifier's preprocessing takes the whole image (fit {fit!r}); take views flip"
    )
    with pytest.raises(UsageError, match=f"^{re.escape(text)}$"):
        views_of(Preprocessing(fit=fit), "10")  # type: ignore[arg-type]


def test_other_views_are_refused() -> None:
    with pytest.raises(UsageError, match=r"^views must be one of 10, flip, got '11'$"):
        views_of(LITE0, "11")

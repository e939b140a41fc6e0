"""Where the pixels come from: agreement with the evaluation, no aliasing, odd sizes, and what is refused."""

import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from convwise.data import decoding
from convwise.data.augmentation import OPERATIONS, Augmentation, Draw, draw
from convwise.data.augmentation.applying import apply
from convwise.data.augmentation.warping import Box, crop_box
from convwise.data.preprocessing import FITS, Preprocessing
from convwise.data.reduction import Reduction
from convwise.data.samples import list_folder
from convwise.errors import UsageError

Pixels = NDArray[np.uint8]

ANY_CROP = Augmentation.usual(*(name for name in OPERATIONS if name not in ("zoom", "shift")))
ANY_ZOOM = Augmentation.usual("zoom", "mirror", "rotation", "warp")
ANY_SHIFT = Augmentation.usual(*(name for name in OPERATIONS if name not in ("area", "zoom")))


def grey(resolution: int, **fields: Any) -> Preprocessing:
    return Preprocessing(channels=1, resolution=resolution, mean=(0.0,), std=(1.0,), **fields)


def stripes(side: int, period: float, angle: float = 0.0) -> Pixels:
    """Waves of full contrast, (side, side, 1); the angle in degrees."""
    y, x = np.mgrid[:side, :side]
    along = x * np.cos(np.radians(angle)) + y * np.sin(np.radians(angle))
    levels: Pixels = np.rint(127.5 + 127.5 * np.sin(2 * np.pi * along / period + 0.7)).astype(np.uint8)[:, :, None]
    return levels


def contrast(pixels: Pixels) -> float:
    """Share of full contrast that is left of waves, away from the border."""
    inside = pixels[4:-4, 4:-4].astype(float)
    return float(inside.std() / (127.5 / np.sqrt(2)))


def texture(height: int, width: int) -> Pixels:
    """A picture with detail of every size, RGB."""
    rng = np.random.default_rng(0)
    total = np.zeros((height, width, 3))
    for octave in range(2, 8):
        small = rng.normal(size=(height // 2 ** (8 - octave) + 2, width // 2 ** (8 - octave) + 2, 3))
        levels = np.stack([np.asarray(Image.fromarray(c).resize((width, height), Image.Resampling.BICUBIC))
                           for c in np.moveaxis(small.astype(np.float32), 2, 0)], axis=2)  # fmt: skip
        total += levels * 2.0 ** (1 - octave)
    return np.clip(128 + 90 * total, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("side", [512, 640])
def test_with_nothing_drawn_a_prepared_image_is_what_the_evaluation_sees(side: int) -> None:
    # the evaluation's crop and that of the prepared image have the same centre here: what differs is which was first,
    # crop or resize, and the rounding of the side; tolerance: mean 1 level, none more than 12
    photo = Image.fromarray(texture(side, side))
    preprocessing = Preprocessing()
    prepared = Reduction.for_training(preprocessing, Augmentation()).apply(photo)
    assert prepared.shape == (256, 256, 3)
    difference = np.abs(apply(prepared, Draw(), Augmentation(), preprocessing).astype(int) - preprocessing.apply(photo))
    assert difference.mean() <= 1
    assert difference.max() <= 12


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize(("width", "height"), [(500, 375), (333, 499), (256, 256), (225, 300)])
def test_with_nothing_drawn_the_crop_is_the_evaluation_s_within_half_a_pixel(fit: Any, width: int, height: int) -> None:
    # a ramp of 3 levels a pixel of the output along each axis shows where each pixel comes from
    preprocessing = grey(64, fit=fit)
    for axis in (0, 1):
        across = {"crop": min(width, height) * 0.875, "pad": max(width, height), "squash": (height, width)[axis]}[fit]
        levels = np.indices((height, width))[axis] * 3 * 64 / across
        photo = Image.fromarray(np.rint(20 + np.minimum(levels, 230)).astype(np.uint8))
        expected = preprocessing.apply(photo)[:, :, 0].astype(int)
        found = apply(np.asarray(photo)[:, :, None], Draw(), Augmentation(), preprocessing)[:, :, 0].astype(int)
        shown = np.minimum(expected, found) > 0  # inside the picture, where it is padded
        shown[1:-1, 1:-1] &= shown[:-2, 1:-1] & shown[2:, 1:-1] & shown[1:-1, :-2] & shown[1:-1, 2:]
        difference = (found - expected)[2:-2, 2:-2][shown[2:-2, 2:-2]]
        assert abs(difference.mean()) <= 1.5 + 0.5  # half a pixel, and rounding
        assert np.abs(difference - difference.mean()).max() <= 2.5  # everywhere the same


@pytest.mark.parametrize("scale", [1.6, 2, 3, 4, 5.5, 8])
@pytest.mark.parametrize("angle", [0, 90])
def test_the_finest_stripes_do_not_alias(scale: float, angle: float) -> None:
    side = round(64 * scale)
    fine, seen = stripes(side, 2, angle), stripes(side, 8 * scale, angle)
    preprocessing = grey(64, crop=1.0)
    turned = Draw(turn=(np.cos(0.1), -np.sin(0.1), np.sin(0.1), np.cos(0.1)))
    assert contrast(preprocessing.apply(Image.fromarray(fine[:, :, 0]))) < 0.05
    for drawn in (Draw(), turned):
        assert contrast(apply(fine, drawn, Augmentation(), preprocessing)) < 0.03
        assert contrast(apply(seen, drawn, Augmentation(), preprocessing)) > 0.8  # these can be seen, and are


def test_stripes_would_alias_without_the_reduced_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("convwise.data.augmentation.warping._halved", lambda pixels, *_: (pixels, 1, 1))
    assert contrast(apply(stripes(192, 2), Draw(), Augmentation(), grey(64, crop=1.0))) > 0.5


def test_one_axis_alone_is_reduced_where_one_alone_is_coarse() -> None:
    wide = stripes(512, 2)[:64]
    preprocessing = grey(64, fit="squash")
    assert contrast(apply(wide, Draw(), Augmentation(), preprocessing)) < 0.03
    assert contrast(apply(np.moveaxis(wide, 0, 1).copy(), Draw(), Augmentation(), preprocessing)) < 0.03
    rows = np.broadcast_to(stripes(64, 16, 90)[:, :1], (64, 512, 1))
    assert contrast(apply(np.ascontiguousarray(rows), Draw(), Augmentation(), preprocessing)) > 0.95


def test_resized_and_sampled_crops_agree() -> None:
    # a turn by nothing, with a grid that moves nothing, goes through the map; both ways read the same places
    photo, preprocessing = texture(300, 400), Preprocessing(resolution=100)
    still = np.zeros((3, 3, 2), np.float32)
    for size in ((0.3, 0.3), (0.4, 0.3), (0.7, 0.8)):
        for mirror in (1.0, -1.0):
            drawn = Draw(size=size, place=(0.3, 0.6), turn=(mirror, 0.0, 0.0, 1.0))
            resized = apply(photo, drawn, Augmentation(), preprocessing).astype(int)
            sampled = apply(photo, drawn._replace(grid=still), Augmentation(), preprocessing).astype(int)
            difference = np.abs(resized - sampled)[2:-2, 2:-2]
            assert difference.mean() < 1.2  # an odd last row is left out of what is halved
            assert difference.max() <= 12


@pytest.mark.parametrize("size", [(0.1, 0.1), (0.23, 0.31), (0.38, 0.29), (0.43, 0.42)])
@pytest.mark.parametrize("mirror", [1.0, -1.0])
def test_resized_and_sampled_crops_are_the_same_levels_where_nothing_is_halved(
    size: tuple[float, float], mirror: float
) -> None:
    # 35 to 149 pixels of a geometric mean of 346 become 100: each way rounds once or twice, and reads the same places
    photo, preprocessing = texture(300, 400), Preprocessing(resolution=100)
    drawn = Draw(size=size, place=(0.3, 0.6), turn=(mirror, 0.0, 0.0, 1.0))
    resized = apply(photo, drawn, Augmentation(), preprocessing).astype(int)
    for other in ({"grid": np.zeros((3, 3, 2), np.float32)}, {"turn": (mirror, 1e-6, 0.0, 1.0)}):
        sampled = apply(photo, drawn._replace(**other), Augmentation(), preprocessing)
        difference = np.abs(resized - sampled)[2:-2, 2:-2]  # the map reads beyond the crop
        assert difference.max() <= 1
        assert difference.mean() < 0.1


def test_a_mirrored_crop_is_the_crop_mirrored() -> None:
    photo, preprocessing = texture(300, 400), Preprocessing(resolution=100)
    for drawn in draw(Augmentation.usual("area"), 0, 0, range(20)):
        plain = apply(photo, drawn, Augmentation(), preprocessing)
        mirrored = apply(photo, drawn._replace(turn=(-1.0, 0.0, 0.0, 1.0)), Augmentation(), preprocessing)
        assert np.array_equal(mirrored, plain[:, ::-1])


@pytest.mark.parametrize("flag", [False, True])
def test_opencv_s_choice_of_kernels_is_as_before_afterwards(flag: bool) -> None:
    before = cv2.ipp.useIPP_NotExact()
    cv2.ipp.setUseIPP_NotExact(flag)
    asked = cv2.ipp.useIPP_NotExact()
    apply(texture(64, 64), Draw(size=(0.5, 0.5)), Augmentation(), Preprocessing(resolution=20))
    assert cv2.ipp.useIPP_NotExact() == asked
    cv2.ipp.setUseIPP_NotExact(before)


@pytest.mark.parametrize("angle", [13, 45, 200])
def test_a_turn_and_back_shows_the_picture_again(angle: float) -> None:
    photo, preprocessing = texture(200, 200), Preprocessing(resolution=200, crop=1.0)
    c, s = float(np.cos(np.radians(angle))), float(np.sin(np.radians(angle)))
    there = apply(photo, Draw(turn=(c, -s, s, c)), Augmentation(), preprocessing)
    back = apply(there, Draw(turn=(c, s, -s, c)), Augmentation(), preprocessing)
    middle = slice(70, 130)
    assert np.abs(back[middle, middle].astype(int) - photo[middle, middle]).mean() < 6


def test_beyond_the_border_is_the_reflection_or_black() -> None:
    photo = np.full((40, 40, 3), 200, np.uint8)
    turned = Draw(turn=(0.7, -0.7, 0.7, 0.7))  # an eighth of a turn: the corners of the output lie outside
    preprocessing = Preprocessing(resolution=40, crop=1.0)
    assert apply(photo, turned, Augmentation(), preprocessing).min() == 200
    assert apply(photo, turned, Augmentation(rotation=45.0, border="black"), preprocessing)[
        [0, 20], [0, 20], 0
    ].tolist() == [0, 200]
    padded = Preprocessing(resolution=40, fit="pad")
    assert apply(photo[:20], Draw(), Augmentation(), padded)[[0, 20, 39], 20, 0].tolist() == [0, 200, 0]


def test_reflections_of_a_far_corner_come_from_the_image_s_own_depth() -> None:
    # a small crop at the right border, stretched far beyond it: what is seen is the mirror image of what is inside
    photo = np.tile(np.arange(100, dtype=np.uint8) * 2, (100, 1))[:, :, None]
    drawn = Draw(size=(0.1, 0.1), place=(1.0, 0.5), turn=(9.0, 0.0, 0.0, 1.0))
    row = apply(photo, drawn, Augmentation(), grey(10))[5, :, 0].astype(int)
    # the crop's centre is at 95, its half width 5 x 9 = 45: from 54.5 - 0.5 to 139.5 - 0.5 in steps of 9
    places = 54.0 + 9 * np.arange(10)
    expected = 2 * np.where(places > 99, 2 * 99 - places, places)
    assert np.abs(row - expected).max() <= 1


def test_the_box_of_the_evaluation_is_the_evaluation_s() -> None:
    # facts of preprocessing.py: side int(375 * 0.875) = 328, left (500 - 328) // 2 = 86, top (375 - 328) // 2 = 23
    assert crop_box(375, 500, Draw(), Augmentation(), Preprocessing()) == Box(86, 23, 86 + 328, 23 + 328)
    assert crop_box(7, 10, Draw(), Augmentation(), Preprocessing(fit="squash")) == Box(0, 0, 10, 7)
    assert crop_box(7, 10, Draw(), Augmentation(), Preprocessing(fit="pad")) == Box(0, -2, 10, 8)


@pytest.mark.parametrize(
    ("width", "height", "size", "box"),
    [
        # drawn, in geometric means of the sides: 640 x 360 has 480. 0.6 x 480 = 288 a side fits
        (640, 360, (0.6, 0.6), (288, 288)),
        # 0.875 x 480 = 420 a side is more than 360 high: both become 360, not 420 x 360
        (640, 360, (0.875, 0.875), (360, 360)),
        # 0.9 x 480 = 432 wide and 0.9 x 4/3 x 480 = 576 high, by 360 / 576: 270 x 360, still 3:4
        (640, 360, (0.9, 1.2), (270, 360)),
        (360, 640, (1.2, 0.9), (360, 270)),
        # twice as wide as 300 x 200 (mean 244.95) is: 2.5 x 244.95 = 612 wide, 1.25 x 244.95 = 306 high, by 300 / 612
        (300, 200, (2.5, 1.25), (300, 150)),
        (900, 1, (1.0, 1.0), (1, 1)),
    ],
)
def test_a_crop_keeps_its_ratio_where_the_image_is_too_narrow_or_too_low_for_it(
    width: int, height: int, size: tuple[float, float], box: tuple[int, int]
) -> None:
    found = crop_box(height, width, Draw(size=size), Augmentation(area=(0.08, 1.0)), Preprocessing())
    assert (found.width, found.height) == box
    assert (found.left + found.right) // 2 == pytest.approx(width // 2, abs=1)


@pytest.mark.parametrize(("width", "height"), [(640, 360), (360, 640), (375, 500), (256, 256)])
def test_random_crops_stay_within_their_ratios_in_images_of_any_form(width: int, height: int) -> None:
    how = Augmentation.usual("area")
    boxes = [crop_box(height, width, drawn, how, Preprocessing()) for drawn in draw(how, 0, 0, range(2000))]
    ratios = np.array([box.width / box.height for box in boxes])
    assert [ratios.min(), ratios.max()] == pytest.approx([3 / 4, 4 / 3], rel=0.02)  # rounding to whole pixels
    areas = np.array([box.width * box.height for box in boxes]) / (width * height)
    largest = 4 / 3 * min(width, height) / max(width, height)
    assert [areas.min(), areas.max()] == pytest.approx([0.08, min(1, largest)], rel=0.03)


@pytest.mark.parametrize(("width", "height"), [(500, 375), (375, 500), (640, 360)])
def test_a_zoom_shows_the_shorter_side_at_the_lengths_that_the_papers_say(width: int, height: int) -> None:
    # 224 pixels of an image whose shorter side has any length from 256 to 512, each as likely: of 375 pixels
    # 224 / 512 x 375 = 164 to 224 / 256 x 375 = 328 are shown
    how = Augmentation(zoom=(256 / 224, 512 / 224))
    boxes = [crop_box(height, width, drawn, how, Preprocessing()) for drawn in draw(how, 0, 0, range(4000))]
    assert all(box.width == box.height for box in boxes)
    lengths = np.array([224 * min(width, height) / box.width for box in boxes])
    assert [lengths.min(), lengths.mean(), lengths.max()] == pytest.approx([256, 384, 512], abs=5)
    assert np.histogram(lengths, 4, (256, 512))[0] == pytest.approx(1000, abs=140)  # five standard deviations
    assert min(box.left for box in boxes) == min(box.top for box in boxes) == 0
    assert (max(box.right for box in boxes), max(box.bottom for box in boxes)) == (width, height)


def test_every_place_of_a_shift_is_as_likely() -> None:
    how = Augmentation(shift=0.125)
    boxes = [crop_box(32, 32, d, how, Preprocessing(crop=1.0)) for d in draw(how, 0, 0, range(9000))]
    for values in ([b.left for b in boxes], [b.top for b in boxes]):
        counts = np.bincount(np.array(values) + 4)
        assert len(counts) == 9  # 4 pixels each way, as in ResNet's training on CIFAR
        assert np.abs(counts - 1000).max() < 150  # five standard deviations


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (2, 3), (33000, 2), (3, 40000), (700, 900)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("fit", FITS)
def test_any_size_gives_the_network_s_shape(size: tuple[int, int], channels: int, fit: Any) -> None:
    pixels = np.full((*size, channels), 77, np.uint8)
    preprocessing = Preprocessing(
        channels=channels, resolution=24, fit=fit, mean=(77.0,) * channels, std=(1.0,) * channels
    )
    for how in (ANY_CROP, ANY_ZOOM, ANY_SHIFT):
        for drawn in draw(how, 0, 0, range(8)):
            out = apply(pixels, drawn._replace(colour=None), how, preprocessing)
            assert out.shape == preprocessing.shape
            assert out.dtype == np.uint8
            if fit != "pad":
                assert np.abs(out.astype(int) - 77).max() <= 1  # nothing but the image is seen
    assert apply(pixels, Draw(), Augmentation(), preprocessing).shape == preprocessing.shape


def test_the_image_itself_is_not_changed() -> None:
    photo = texture(64, 64)
    photo.flags.writeable = False
    before = photo.copy()
    for drawn in draw(ANY_SHIFT, 0, 0, range(20)):
        apply(photo, drawn, ANY_SHIFT, Preprocessing(resolution=64, crop=1.0))
    assert np.array_equal(photo, before)


@pytest.mark.parametrize(
    ("pixels", "got"),
    [
        (np.zeros((4, 4), np.uint8), "uint8 (4, 4)"),
        (np.zeros((4, 4, 1), np.uint8), "uint8 (4, 4, 1)"),
        (np.zeros((4, 4, 3), np.float32), "float32 (4, 4, 3)"),
        (np.zeros((0, 4, 3), np.uint8), "uint8 (0, 4, 3)"),
    ],
)
def test_what_is_no_image_is_refused(pixels: Any, got: str) -> None:
    text = f"an image to augment must be uint8 (H, W, 3) with at least one pixel, got {got}"
    with pytest.raises(UsageError, match=f"^{re.escape(text)}$"):
        apply(pixels, Draw(), Augmentation(), Preprocessing())


def detail(pixels: Pixels) -> float:
    """Mean difference between neighbours, in levels."""
    grey = pixels.mean(axis=2)
    return float(np.abs(np.diff(grey, axis=0)).mean() + np.abs(np.diff(grey, axis=1)).mean())


@pytest.mark.slow
@pytest.mark.parametrize(("name", "found", "without"), [("area", 0.96, 0.86), ("zoom", 0.98, 0.72)])
def test_crops_of_prepared_photos_have_the_detail_that_the_documentation_states(
    ants_bees: Path, name: str, found: float, without: float
) -> None:
    how, preprocessing = Augmentation.usual("mirror", name), Preprocessing(crop=1.0)
    reductions = [Reduction.for_training(preprocessing, augmentation) for augmentation in (how, Augmentation())]
    details, listing = [], list_folder(ants_bees)
    for i, sample in enumerate(listing.samples):
        if sample.split != "train":
            continue
        versions = decoding.decode(listing.read(sample), [*reductions, Reduction(channels=3, side=10**6)]).pixels
        for epoch in range(4):
            drawn = draw(how, 0, epoch, [i])[0]
            details.append([detail(apply(pixels, drawn, how, preprocessing)) for pixels in versions])
    prepared, small, whole = np.mean(details, axis=0)
    assert len(details) == 4 * 245
    assert [prepared / whole, small / whole] == pytest.approx([found, without], abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize(("fit", "mean", "most"), [("squash", 1.0, 3.0), ("crop", 4.0, 9.0)])
def test_photos_are_within_the_tolerance_that_the_documentation_states(
    ants_bees: Path, fit: Any, mean: float, most: float
) -> None:
    # docs/augmentation.md: mean difference over all photos, and in 19 of 20; a crop may lie half a pixel aside
    preprocessing = Preprocessing(fit=fit)
    reduction, means = Reduction.for_training(preprocessing, Augmentation()), []
    listing = list_folder(ants_bees)
    for sample in listing.samples[::4]:
        data = decoding.read(listing.path(sample))
        expected, prepared = decoding.decode(data, [preprocessing, reduction]).pixels
        found = apply(prepared, Draw(), Augmentation(), preprocessing)
        means.append(np.abs(found.astype(int) - expected).mean())
    assert np.mean(means) <= mean
    assert np.percentile(means, 95) <= most

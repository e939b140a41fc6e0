"""Every operation against pixels worked out by hand."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from convwise.data.augmentation import Augmentation, Draw, draw
from convwise.data.augmentation.applying import apply
from convwise.data.augmentation.operations import colours
from convwise.data.preprocessing import Preprocessing

Pixels = NDArray[np.uint8]
FOUR = np.arange(1, 17, dtype=np.uint8).reshape(4, 4)  # the first row is 1 2 3 4
QUARTER = (0.0, -1.0, 1.0, 0.0)  # a turn by 90 degrees: from the output's (x, y) to the crop's (-y, x)


def plain(side: int, channels: int = 1) -> Preprocessing:
    """The whole image, without a margin."""
    return Preprocessing(channels=channels, resolution=side, crop=1.0, mean=(127.0,) * channels, std=(1.0,) * channels)


def grey(rows: Pixels, drawn: Draw, how: Augmentation | None = None, side: int = 4) -> list[list[int]]:
    """Augment a grey image; its levels."""
    found: list[list[int]] = apply(rows[:, :, None], drawn, how or Augmentation(), plain(side))[:, :, 0].tolist()
    return found


def colour(levels: tuple[int, int, int], **fields: float) -> list[int]:
    """One pixel through one colour operation at the upper end of its range."""
    augmentation = Augmentation(**fields)  # type: ignore[arg-type]
    (matrix,), contrast = at_the_top(augmentation)
    pixels = np.full((2, 2, 3), levels, np.uint8)
    out = apply(pixels, Draw(colour=matrix, contrast=contrast), augmentation, plain(2, 3))
    assert (out == out[0, 0]).all()
    found: list[int] = out[0, 0].tolist()
    return found


def at_the_top(augmentation: Augmentation) -> tuple[NDArray[np.float32], float]:
    """The colour matrix (1, 3, 4) of random numbers that are all 1, and contrast's share of the mean."""
    ones = (np.ones(1, np.float32),) * 3
    matrices, contrast = colours(augmentation, lambda _: ones, 1)
    assert matrices is not None
    return np.moveaxis(matrices, 2, 0), 0.0 if contrast is None else float(contrast[0])


def test_nothing_drawn_gives_every_pixel_back() -> None:
    assert grey(FOUR, Draw()) == FOUR.tolist()


def test_mirror_exchanges_left_and_right() -> None:
    assert grey(FOUR, Draw(turn=(-1.0, 0.0, 0.0, 1.0))) == [
        [4, 3, 2, 1],
        [8, 7, 6, 5],
        [12, 11, 10, 9],
        [16, 15, 14, 13],
    ]


def test_a_crop_takes_whole_pixels_of_its_size_and_place() -> None:
    # half the mean side of 4 x 4 is 2 pixels; of the 3 places there are, 0.99 is the last and 0.5 the second
    how, drawn = Augmentation(area=(0.25, 0.25), ratio=(1, 1)), Draw(size=(0.5, 0.5), place=(0.99, 0.5))
    assert grey(FOUR, drawn, how, side=2) == [[7, 8], [11, 12]]


def test_the_size_of_a_crop_is_measured_by_the_mean_of_both_sides_and_fits_the_image() -> None:
    wide = np.tile(2 * np.arange(16, dtype=np.uint8), (4, 1))  # mean side 8: a crop of 1 x 0.25 is 8 x 2 pixels
    how = Augmentation(area=(1, 1))
    assert grey(wide, Draw(size=(1.0, 0.25), place=(0.0, 0.0)), how) == [[1, 5, 9, 13]] * 4  # means of two
    assert grey(wide, Draw(size=(1.0, 1.0), place=(0.999, 0.0)), how) == [[24, 26, 28, 30]] * 4  # 8 x 8: 4 x 4


def test_a_crop_that_is_enlarged_interpolates_between_the_centres_of_pixels() -> None:
    # 2 pixels become 4: their centres are at 0.5 and 1.5, those of the output at 0.25, 0.75, 1.25 and 1.75
    two = np.array([[0, 100], [0, 100]], np.uint8)
    assert grey(two, Draw()) == [[0, 25, 75, 100]] * 4


def test_shift_moves_by_whole_pixels_and_shows_the_reflection() -> None:
    how = Augmentation(shift=0.25)  # one of 4 pixels: three places each way
    right_and_down = Draw(place=(0.99, 0.99))
    assert grey(FOUR, right_and_down, how) == [[6, 7, 8, 7], [10, 11, 12, 11], [14, 15, 16, 15], [10, 11, 12, 11]]
    assert grey(FOUR, Draw(place=(0.0, 0.5)), how) == [[2, 1, 2, 3], [6, 5, 6, 7], [10, 9, 10, 11], [14, 13, 14, 15]]


def test_shift_shows_black_where_that_is_asked_for() -> None:
    how = Augmentation(shift=0.25, border="black")
    assert grey(FOUR, Draw(place=(0.0, 0.99)), how) == [[0, 5, 6, 7], [0, 9, 10, 11], [0, 13, 14, 15], [0, 0, 0, 0]]


def test_a_quarter_turn_is_counter_clockwise() -> None:
    assert grey(FOUR, Draw(turn=QUARTER)) == np.rot90(FOUR).tolist()
    drawn = draw(Augmentation(rotation=90), 0, 0, range(500))
    angles = [math.degrees(math.atan2(d.turn[2], d.turn[0])) for d in drawn]
    assert -90 <= min(angles) < -85
    assert 85 < max(angles) <= 90


def test_mirror_comes_after_the_turn() -> None:
    assert grey(FOUR, Draw(turn=(0.0, -1.0, -1.0, 0.0))) == np.fliplr(np.rot90(FOUR)).tolist()
    (drawn,) = draw(Augmentation(mirror=1, rotation=90), 0, 0, [0])
    assert drawn.turn[0] == pytest.approx(-drawn.turn[3])  # the first column, and it alone, is negated


def test_shear_moves_each_row_by_its_distance_from_the_middle() -> None:
    # the slope 1 moves the rows of a 4 x 4 image by -1.5, -0.5, 0.5 and 1.5 pixels: means of two neighbours
    steps = np.tile(np.array([0, 20, 40, 60], np.uint8), (4, 1))
    sheared = grey(steps, Draw(turn=(1.0, 1.0, 0.0, 1.0)))
    assert sheared[1] == [10, 10, 30, 50]  # read 0.5 to the left; beyond the border, its reflection: 20 and 0
    assert sheared[2] == [10, 30, 50, 50]
    assert sheared[3] == [30, 50, 50, 30]


def test_shear_is_drawn_as_the_tangent_of_an_angle() -> None:
    leans = [d.turn[1] for d in draw(Augmentation(shear=45), 0, 0, range(500))]
    assert -1 <= min(leans) < -0.95
    assert 0.95 < max(leans) <= 1


def test_local_warp_moves_what_its_nodes_say() -> None:
    # all nodes a quarter of the side to the right: each pixel shows its right neighbour, the last the reflection
    grid = np.zeros((3, 3, 2), np.float32)
    grid[:, :, 0] = 0.25
    assert grey(FOUR, Draw(grid=grid)) == [[2, 3, 4, 3], [6, 7, 8, 7], [10, 11, 12, 11], [14, 15, 16, 15]]
    grid = np.roll(grid, 1, axis=2)  # down
    assert grey(FOUR, Draw(grid=grid)) == [[5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15, 16], [9, 10, 11, 12]]


def test_local_warp_is_local() -> None:
    ramp = np.tile(np.arange(64, dtype=np.uint8) * 2, (64, 1))
    grid = np.zeros((4, 4, 2), np.float32)
    grid[0, 0, 0] = 0.1  # the node in the middle of the upper left sixteenth, by 6.4 of 64 pixels: 12.8 levels
    moved = np.array(grey(ramp, Draw(grid=grid), side=64)).astype(int) - ramp
    assert 12 <= moved[8, 8] <= 14
    assert not moved[:, 40:].any()
    assert not moved[40:].any()


def test_all_of_the_geometry_is_one_map() -> None:
    # crop 2 x 2 in the middle, turned by 90 degrees, mirrored, moved one output pixel to the left by the grid
    grid = np.zeros((3, 3, 2), np.float32)
    drawn = Draw(size=(0.5, 0.5), place=(0.5, 0.5), turn=(0.0, -1.0, -1.0, 0.0), grid=grid)
    assert grey(FOUR, drawn, Augmentation(area=(0.25, 0.25)), side=2) == [[11, 7], [10, 6]]
    drawn = drawn._replace(grid=grid + np.array([0.5, 0], np.float32))  # one of 2 pixels to the right: row 3 comes in
    assert grey(FOUR, drawn, Augmentation(area=(0.25, 0.25)), side=2) == [[7, 3], [6, 2]]


@pytest.mark.parametrize(
    ("shift", "before", "after"),
    [
        ((20, -20, 20), (100, 100, 100), [120, 80, 120]),
        ((-20, 20, 20), (100, 150, 200), [80, 170, 220]),
        ((5, 0, 50), (10, 20, 230), [15, 20, 255]),  # clipped above
        ((-20, 20, 20), (10, 250, 0), [0, 255, 20]),  # clipped on both ends
    ],
)
def test_colour_shift_adds_levels(shift: tuple[int, int, int], before: tuple[int, int, int], after: list[int]) -> None:
    matrix = np.concatenate([np.eye(3), np.array(shift)[:, None]], axis=1).astype(np.float32)
    out = apply(np.full((2, 2, 3), before, np.uint8), Draw(colour=matrix), Augmentation(), plain(2, 3))
    assert out[0, 0].tolist() == after


def test_colour_shift_is_drawn_for_each_channel_within_20_levels_by_default() -> None:
    added = np.array([d.colour[:, 3] for d in draw(Augmentation.usual("channel_shift"), 0, 0, range(2000))])  # type: ignore[index]
    assert added.min(axis=0).tolist() == pytest.approx([-20, -20, -20], abs=0.1)
    assert added.max(axis=0).tolist() == pytest.approx([20, 20, 20], abs=0.1)
    assert np.abs(np.corrcoef(added.T) - np.eye(3)).max() < 0.08


def test_brightness_multiplies() -> None:
    assert colour((100, 50, 200), brightness=0.4) == [140, 70, 255]  # 280 is clipped


def test_contrast_stretches_about_the_mean_luma_of_the_image() -> None:
    # luma 0.299 R + 0.587 G + 0.114 B: 50 and 150, their mean 100; times 1.5: 100 - 75 and 100 + 75
    pixels = np.array([[[50] * 3, [150] * 3], [[150] * 3, [50] * 3]], np.uint8)
    (matrix,), contrast = at_the_top(Augmentation(contrast=0.5))
    out = apply(pixels, Draw(colour=matrix, contrast=contrast), Augmentation(), plain(2, 3))
    assert out[:, :, 0].tolist() == [[25, 175], [175, 25]]
    # one colour: luma 0.299 x 200 + 0.587 x 100 + 0.114 x 0 = 118.5; 1.5 x 200 - 0.5 x 118.5 = 240.75, and so on
    assert colour((200, 100, 0), contrast=0.5) == [241, 91, 0]


def test_contrast_takes_the_mean_of_the_brightened_image() -> None:
    # 80 x 1.25 = 100, of which the mean is 100: contrast changes nothing
    assert colour((80, 80, 80), brightness=0.25, contrast=0.5) == [100, 100, 100]


def test_saturation_moves_away_from_the_pixel_s_own_luma() -> None:
    # luma 118.5 as above: 118.5 + 1.4 x (200 - 118.5) = 232.6; 118.5 - 1.4 x 18.5 = 92.6; 118.5 - 1.4 x 118.5 < 0
    assert colour((200, 100, 0), saturation=0.4) == [233, 93, 0]
    assert colour((90, 90, 90), saturation=0.4) == [90, 90, 90]


def test_hue_turns_about_the_grey_axis() -> None:
    assert colour((200, 50, 100), hue=120) == [100, 200, 50]  # a third of a turn exchanges R, G and B in a circle
    assert colour((90, 90, 90), hue=77) == [90, 90, 90]
    # half a turn: 2 x mean - level, with the mean (130 + 100 + 70) / 3 = 100
    assert colour((130, 100, 70), hue=180) == [70, 100, 130]


def test_pca_adds_its_colours_by_their_weights() -> None:
    colours_of_one = ((10.0, 0.0, 0.0), (0.0, 20.0, 0.0), (0.0, 0.0, 40.0))
    drawn = draw(Augmentation(pca=0.5, pca_colours=colours_of_one), 0, 0, range(20_000))
    added = np.array([d.colour[:, 3] for d in drawn])  # type: ignore[index]
    assert added.mean(axis=0).tolist() == pytest.approx([0, 0, 0], abs=0.3)
    assert added.std(axis=0).tolist() == pytest.approx([5, 10, 20], rel=0.02)
    assert np.abs(np.corrcoef(added.T) - np.eye(3)).max() < 0.03
    kurtosis = ((added / added.std(axis=0)) ** 4).mean(axis=0)
    assert kurtosis.tolist() == pytest.approx([3, 3, 3], abs=0.15)  # of a normal distribution


def test_alexnet_s_colours_are_in_levels() -> None:
    # facts, augmentation.pca_lighting.eigval_0_255_pixels: 55.46, 4.794, 1.148, times the eigenvectors' columns
    first, second, third = Augmentation().pca_colours
    assert first == pytest.approx([-0.5675 * 55.46, -0.5808 * 55.46, -0.5836 * 55.46], rel=1e-3)
    assert second == pytest.approx([0.7192 * 4.794, -0.0045 * 4.794, -0.6948 * 4.794], rel=1e-3)
    assert third == pytest.approx([0.4009 * 1.148, -0.8140 * 1.148, 0.4203 * 1.148], rel=1e-3)


def test_colour_operations_compose_into_one_rounding() -> None:
    # brightness 1.25, contrast 1.5 about the brightened mean, then shift 20: 100 -> 125 -> 125 + 20
    assert colour((100, 100, 100), brightness=0.25, contrast=0.5, channel_shift=20) == [145, 145, 145]
    # 1.004 x 100 = 100.4 and + 0.3 = 100.7: rounded once it is 101, after each step it would be 100
    matrix = np.concatenate([1.004 * np.eye(3), np.full((3, 1), 0.3)], axis=1).astype(np.float32)
    out = apply(np.full((2, 2, 3), 100, np.uint8), Draw(colour=matrix), Augmentation(), plain(2, 3))
    assert out.tolist() == [[[101] * 3] * 2] * 2


def test_a_grey_image_gets_the_luma_of_what_a_grey_rgb_image_gets() -> None:
    rng = np.random.default_rng(0)
    levels = rng.integers(60, 190, (6, 6, 1), np.uint8)
    how = Augmentation.usual("brightness", "contrast", "saturation", "hue", "channel_shift", "pca")
    for drawn in draw(how, 0, 0, range(20)):
        rgb = apply(levels.repeat(3, axis=2), drawn, how, plain(6, 3)).astype(float)
        expected = rgb @ [0.299, 0.587, 0.114]
        inside = (rgb > 0).all(axis=2) & (rgb < 255).all(axis=2)  # a channel that is clipped has lost some
        found = apply(levels, drawn, how, plain(6))[:, :, 0]
        assert np.abs(found - expected)[inside].max() <= 1.5


def test_erasing_puts_the_mean_into_a_rectangle() -> None:
    # half of 4 pixels wide, a quarter high, the last of 3 columns and the second of 4 rows
    drawn = Draw(erased=(0.5, 0.25, 0.99, 0.3))
    assert grey(FOUR, drawn) == [[1, 2, 3, 4], [5, 6, 127, 127], [9, 10, 11, 12], [13, 14, 15, 16]]
    rgb = apply(np.zeros((4, 4, 3), np.uint8), drawn, Augmentation(), Preprocessing(resolution=4, mean=(1.4, 2.5, 253)))
    assert rgb[1, 3].tolist() == [1, 2, 253]
    assert not rgb[0].any()


def test_erasing_is_drawn_with_its_probability_and_area() -> None:
    erased = [d.erased for d in draw(Augmentation(erasing=0.3, erased_area=(0.1, 0.2)), 0, 0, range(5000))]
    hits = [e for e in erased if e]
    assert len(hits) / len(erased) == pytest.approx(0.3, abs=0.02)
    areas = [width * height for width, height, _, _ in hits]
    assert min(areas) == pytest.approx(0.1, abs=0.001)
    assert max(areas) == pytest.approx(0.2, abs=0.001)
    ratios = [width / height for width, height, _, _ in hits]
    assert 0.3 <= min(ratios) < 0.32
    assert 3.1 < max(ratios) <= 3.334

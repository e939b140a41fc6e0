import re

import numpy as np
import pytest
from numpy.typing import NDArray

from convwise.data.augmentation import OPERATIONS, Augmentation, Draw, draw
from convwise.data.augmentation.applying import apply
from convwise.data.augmentation.record import ALEXNET_COLOURS
from convwise.data.preprocessing import Preprocessing
from convwise.report.seen import Seen
from convwise.report.sheet import COLUMNS, GAP, draw_sheet
from convwise.report.tiles import SHOWN, Photographer

Pixels = NDArray[np.uint8]

SIDE = 96
SQUARE = Preprocessing(resolution=SIDE, crop=1.0)  # the whole of it, as training from scratch sees images


@pytest.fixture(scope="module")
def photos() -> list[Pixels]:
    rng = np.random.default_rng(0)
    return [np.kron(rng.integers(0, 256, (10, 12, 3), np.uint8), np.ones((16, 16, 1), np.uint8)) for _ in range(3)]


@pytest.fixture
def camera(photos: list[Pixels]) -> Photographer:
    return Photographer(photos, ALEXNET_COLOURS, seed=0, side=SIDE)


def test_every_operation_has_its_row() -> None:
    assert sorted([*COLUMNS[0], *COLUMNS[1]]) == sorted(OPERATIONS) == sorted(SHOWN)


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_row_begins_unchanged_and_every_other_picture_is_changed(
    camera: Photographer, photos: list[Pixels], name: str
) -> None:
    row = camera.alone(name, 0)
    unchanged = apply(photos[0], draw(Augmentation(), 0, 0, [0])[0], Augmentation(), SQUARE)
    assert np.array_equal(row.tiles[0].pixels, unchanged)
    assert row.tiles[0].caption == "unchanged"
    assert len(row.tiles) == (2 if name == "mirror" else 5)
    for tile in row.tiles[1:]:
        assert tile.pixels.shape == (SIDE, SIDE, 3)
        assert not np.array_equal(tile.pixels, unchanged)
    assert len({tile.pixels.tobytes() for tile in row.tiles}) == len(row.tiles)
    assert "{" not in row.detail


@pytest.mark.parametrize(
    ("name", "captions"),
    [
        ("mirror", ["mirrored"]),
        # of 192 x 160 pixels; the last, 3:4 of all the area, is 202 high: 120 x 160 are left
        ("area", ["8% of the area", "31% of the area", "77% of the area", "62% of the area"]),
        ("zoom", ["x 1.14", "x 1.43", "x 2.00", "x 2.29"]),
        ("shift", ["-12.5 % right", "-6.25 % right", "+6.25 % right", "+12.5 % right"]),
        ("rotation", ["-15\N{DEGREE SIGN}", "-7.5\N{DEGREE SIGN}", "+7.5\N{DEGREE SIGN}", "+15\N{DEGREE SIGN}"]),
        ("brightness", ["x 0.6", "x 0.8", "x 1.2", "x 1.4"]),
        ("saturation", ["x 0.6", "x 0.8", "x 1.2", "x 1.4"]),
        ("channel_shift", ["-20 -10 +10", "-10 +10 +20", "+10 +20 -20", "+20 -20 -10"]),
        ("erasing", ["2% of the area", "10% of the area", "26% of the area", "33% of the area"]),
    ],
)
def test_captions_say_how_strong_it_is(camera: Photographer, name: str, captions: list[str]) -> None:
    assert [tile.caption for tile in camera.alone(name, 0).tiles[1:]] == captions


def test_a_caption_is_true_of_its_picture(photos: list[Pixels]) -> None:
    flat = [np.full((200, 200, 3), (100, 110, 120), np.uint8), photos[1]]
    camera = Photographer(flat, ALEXNET_COLOURS, seed=0, side=SIDE)
    for tile, factor in zip(camera.alone("brightness", 0).tiles[1:], (0.6, 0.8, 1.2, 1.4), strict=True):
        assert tile.pixels[0, 0].tolist() == pytest.approx([100 * factor, 110 * factor, 120 * factor], abs=0.6)
    for tile in camera.alone("channel_shift", 0).tiles[1:]:
        moved = [level - before for level, before in zip(tile.pixels[0, 0].tolist(), (100, 110, 120), strict=True)]
        assert moved == [int(text) for text in tile.caption.split()]
    for tile in camera.alone("cutmix", 0).tiles[1:]:
        kept = (tile.pixels == flat[0][0, 0]).all(axis=2).mean()
        assert [f"{kept:.0%}", f"{1 - kept:.0%}"] == re.findall(r"\d+%", tile.caption)


def seen(photos: list[Pixels], augmentation: Augmentation, resolution: int = SIDE) -> Seen:
    return Seen(photos, augmentation, Preprocessing(resolution=resolution, crop=1.0), "a network")


def test_a_row_of_training_is_what_training_draws(photos: list[Pixels]) -> None:
    how = Augmentation(mirror=0.5, area=(0.1, 0.5), brightness=0.3)
    row = seen(photos, how).row(1, 4, seed=7, side=SIDE)
    assert np.array_equal(row[0], apply(photos[1], Draw(), Augmentation(), SQUARE))
    for epoch, pixels in enumerate(row[1:]):
        assert np.array_equal(pixels, apply(photos[1], draw(how, 7, epoch, [1])[0], how, SQUARE))
    assert len(row) == 5


def test_mixtures_of_training_have_the_next_image_in_them(photos: list[Pixels]) -> None:
    flat = [np.full((50, 50, 3), level, np.uint8) for level in (10, 210)]
    last = seen(flat, Augmentation(cutmix=1.0)).row(1, 12, seed=0, side=SIDE)
    assert all(set(np.unique(pixels)) <= {10, 210} for pixels in last)
    assert any(set(np.unique(pixels)) == {10, 210} for pixels in last)
    assert len({pixels.tobytes() for pixels in seen(photos, Augmentation(mixup=1.0)).row(2, 4, seed=0, side=SIDE)}) == 5


def test_a_training_that_changes_nothing_is_shown_once(photos: list[Pixels]) -> None:
    plain = seen(photos, Augmentation())
    assert len(plain.row(0, 9, seed=0, side=SIDE)) == 1
    assert "no image is changed" in plain.heading


def test_a_network_of_few_pixels_is_shown_with_its_pixels(photos: list[Pixels]) -> None:
    (tile,) = seen(photos, Augmentation(), 32).row(0, 0, seed=0, side=96)
    assert np.array_equal(tile, np.kron(tile[1::3, 1::3], np.ones((3, 3, 1), np.uint8)))
    grey = [photo[:, :, :1] for photo in photos]
    preprocessing = Preprocessing(channels=1, resolution=32, crop=1.0, mean=(0.0,), std=(1.0,))
    (tile,) = Seen(grey, Augmentation(), preprocessing, "").row(0, 0, seed=0, side=96)
    assert tile.shape == (96, 96, 3)
    assert (tile == tile[:, :, :1]).all()


def test_the_heading_says_what_is_on(photos: list[Pixels]) -> None:
    how = Augmentation(mirror=0.5, zoom=(256 / 224, 512 / 224), pca=0.1, rotation=15.0, border="black")
    assert seen(photos, how).heading == (
        "What training sees (a network, 96 px: mirror 0.5, zoom 1.14 to 2.29, rotation 15, border black, pca 0.1): "
        "an image a row, as an evaluation sees it and in its first epochs"
    )


@pytest.mark.parametrize("size", [SIDE, 128])
def test_the_sheet_is_one_picture_that_a_seed_repeats(photos: list[Pixels], size: int) -> None:
    how = Augmentation.usual(*(name for name in OPERATIONS if name not in ("zoom", "shift")))  # a heading of two lines
    one, two, other = (
        np.asarray(draw_sheet(photos, ALEXNET_COLOURS, seen(photos, how), "A title", seed=seed, side=size))
        for seed in (0, 0, 1)
    )
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)
    assert one.shape[0] > 8 * size
    assert one.shape[1] > 10 * size
    margin = 24
    for border in (one[:margin, :], one[-margin:], one[:, :margin], one[:, -margin:]):
        assert (border[:, -margin:] == 255).mean() > 0.9  # nothing runs over the edge


def test_one_photo_is_enough_and_each_is_shown_once(photos: list[Pixels]) -> None:
    heights = [
        draw_sheet(photos[:n], ALEXNET_COLOURS, seen(photos[:n], Augmentation()), "One", seed=0, side=SIDE).height
        for n in (1, 2, 3)
    ]
    assert heights == [heights[0] + n * (SIDE + GAP) for n in range(3)]
    more = [*photos, photos[0]]
    assert draw_sheet(more, ALEXNET_COLOURS, seen(more, Augmentation()), "", seed=0, side=SIDE).height == heights[2]

import re

import numpy as np
import pytest

from convwise.data.augmentation import Augmentation, draw
from convwise.data.augmentation.colour import principal_colours, with_own_colours
from convwise.errors import UsageError


def test_principal_colours_are_eigenvectors_times_eigenvalues_in_levels() -> None:
    # R varies with a deviation of 51 levels (0.2 of 0..1), G with 25.5 (0.1), B not at all, each by itself:
    # eigenvalues 0.04, 0.01 and 0, times 255
    r, g = np.meshgrid([127.5 - 51, 127.5 + 51], [127.5 - 25.5, 127.5 + 25.5])
    image = np.stack([r, g, np.full_like(r, 90)], axis=2).round().astype(np.uint8)
    first, second, third = principal_colours([image])
    assert first == pytest.approx((255 * 0.04, 0, 0), abs=0.15)
    assert second == pytest.approx((0, 255 * 0.01, 0), abs=0.15)
    assert third == pytest.approx((0, 0, 0), abs=0.01)


def test_grey_images_have_one_principal_colour() -> None:
    image = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, axis=2)
    first, second, third = principal_colours([image])
    # each channel has the variance v = (256^2 - 1) / 12 / 255^2; the eigenvalue is 3 v, along (1, 1, 1) / sqrt(3)
    assert first == pytest.approx(((256**2 - 1) / 12 / 255 * 3**0.5,) * 3)
    assert [*second, *third] == pytest.approx([0] * 6, abs=1e-6)


def test_images_of_any_size_count_by_their_pixels() -> None:
    rng = np.random.default_rng(1)
    halves = rng.integers(0, 256, (2, 30, 60, 3), np.uint8)
    whole = np.concatenate(list(halves), axis=1)
    assert np.array(principal_colours(iter(halves))) == pytest.approx(np.array(principal_colours([whole])))


def test_a_large_image_counts_by_a_part_of_its_pixels() -> None:
    rng = np.random.default_rng(2)
    colours = rng.integers(0, 256, (3, 3))
    image = (rng.normal(size=(600, 600, 3)) @ colours / 16 + 128).clip(0, 255).astype(np.uint8)
    pixels = image.reshape(-1, 3) / 255
    values, vectors = np.linalg.eigh(np.cov(pixels.T))
    first = np.array(principal_colours([image])[0])
    expected = 255 * values[-1] * vectors[:, -1] * np.sign(vectors[:, -1].sum())
    assert first == pytest.approx(expected, rel=0.05, abs=0.05 * np.abs(expected).max())


def test_alexnet_s_colours_come_from_the_same_rule() -> None:
    # facts, augmentation.pca_lighting: eigenvalues 0.2175, 0.0188, 0.0045 of RGB in 0..1 are 55.46, 4.794, 1.148 times
    # the eigenvectors in levels: pixels that vary so get these colours back
    vectors = np.array([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])
    values = np.array([0.2175, 0.0188, 0.0045]) / 16  # a sixteenth, lest levels be clipped
    rng = np.random.default_rng(3)
    pixels = 0.5 + (rng.choice([-1, 1], (64, 64, 3)) * np.sqrt(values)) @ vectors.T
    first, second, _ = principal_colours([(pixels * 255).round().clip(0, 255).astype(np.uint8)])
    assert np.array(first) * 16 == pytest.approx(55.46 * -vectors[:, 0], abs=1.5)
    assert np.array(second) * 16 == pytest.approx(4.794 * vectors[:, 1], abs=0.6)


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 1)])
def test_a_grey_array_is_refused(shape: tuple[int, ...]) -> None:
    text = f"principal colours need RGB images (H, W, 3), got shape {shape}"
    with pytest.raises(UsageError, match=f"^{re.escape(text)}$"):
        principal_colours([np.zeros(shape, np.uint8)])


def test_no_image_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^principal colours need at least one image, got none$"):
        principal_colours([])


def test_neither_the_order_of_the_images_nor_their_number_at_once_changes_a_bit() -> None:
    images = list(np.random.default_rng(4).integers(0, 256, (50, 70, 90, 3), np.uint8))
    assert principal_colours(images) == principal_colours(images[::-1])


def test_own_colours_are_put_in_where_they_are_asked_for() -> None:
    image = np.random.default_rng(5).integers(0, 256, (16, 16, 3), np.uint8)
    own = with_own_colours(Augmentation(mirror=0.5, pca=0.1, pca_colours="own"), [image])
    assert own == Augmentation(mirror=0.5, pca=0.1, pca_colours=principal_colours([image]))
    others = Augmentation(pca=0.1)
    assert with_own_colours(others, []) is others
    # 0.1 times a normal number of each colour is added, the same to every pixel
    drawn = np.array([one.colour[:, 3] for one in draw(own, 0, 0, range(4000)) if one.colour is not None])
    colours = np.array(own.pca_colours)
    assert np.cov(drawn.T) == pytest.approx(0.1**2 * colours.T @ colours, rel=0.15, abs=0.4)  # five standard deviations


def test_own_colours_that_nobody_has_found_are_refused() -> None:
    text = "pca_colours 'own' must be found before anything is drawn: use with_own_colours"
    with pytest.raises(UsageError, match=f"^{text}$"):
        draw(Augmentation(pca=0.1, pca_colours="own"), 0, 0, [0])

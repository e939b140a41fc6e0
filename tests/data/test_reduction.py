import re

import numpy as np
import pytest
from PIL import Image

from convwise.data.augmentation import Augmentation
from convwise.data.preprocessing import Preprocessing
from convwise.data.reduction import Reduction
from convwise.errors import UsageError


@pytest.mark.parametrize(
    ("size", "expected"),
    [((500, 375), (342, 256)), ((375, 500), (256, 342)), ((512, 512), (256, 256)), ((256, 900), (256, 900)),
     ((30, 20), (30, 20)), ((1, 5000), (1, 5000)), ((257, 40_000), (256, 39844))],
)  # fmt: skip
def test_the_shorter_side_is_reduced_and_never_enlarged_and_the_middle_square_lies_on_whole_pixels(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert Reduction(channels=3, side=256).size(*size) == expected


@pytest.mark.parametrize(
    ("resolution", "crop"), [(224, 0.875), (224, 1.0), (299, 0.9), (240, 0.965), (32, 1.0), (1, 0.01)]
)
def test_the_evaluation_s_crop_of_a_reduced_image_has_just_the_resolution(resolution: int, crop: float) -> None:
    reduction = Reduction.for_training(Preprocessing(resolution=resolution, crop=crop), Augmentation(shift=0.1))
    assert int(reduction.side * crop) == resolution
    assert int((reduction.side - 1) * crop) < resolution


@pytest.mark.parametrize("fit", ["pad", "squash"])
def test_without_a_crop_the_shorter_side_is_the_resolution(fit: str) -> None:
    preprocessing = Preprocessing(resolution=100, fit=fit)  # type: ignore[arg-type]
    assert Reduction.for_training(preprocessing, Augmentation()).side == 100


@pytest.mark.parametrize(
    ("augmentation", "side"),
    [
        (Augmentation(area=(0.08, 1.0)), 305),  # a mean crop is 0.54 of a square of side 304.8: 224 x 224 pixels
        (Augmentation(area=(0.25, 0.25)), 448),
        (Augmentation(zoom=(256 / 224, 512 / 224)), 384),  # the mean of 256 and 512
        (Augmentation(zoom=(256 / 224, 480 / 224)), 368),
        (Augmentation(mirror=0.5, rotation=30, shift=0.2), 224),
    ],
)
def test_random_crops_of_usual_size_have_the_resolution_too(augmentation: Augmentation, side: int) -> None:
    assert Reduction.for_training(Preprocessing(crop=1.0), augmentation).side == side


def test_the_whole_image_stays_and_is_antialiased() -> None:
    checks = Image.fromarray(((np.indices((64, 96)).sum(axis=0) % 2) * 255).astype(np.uint8))
    out = Reduction(channels=3, side=16).apply(checks)
    assert out.shape == (16, 24, 3)
    assert np.abs(out.astype(int) - 127).max() <= 3


def test_without_resizing_only_the_channels_change() -> None:
    image = Image.fromarray(np.full((40, 30, 3), (255, 0, 0), np.uint8))
    assert Reduction(channels=3, side=4, resize=False).apply(image).shape == (40, 30, 3)
    grey = Reduction(channels=1, side=4, resize=False).apply(image)
    assert grey.shape == (40, 30, 1)
    assert (grey == 76).all()  # ITU-R 601: 0.299 * 255


def test_at_least_twice_the_side_is_left_of_a_reduced_jpeg() -> None:
    reduction = Reduction(channels=3, side=64)
    assert [reduction.reduction(width, 9999) for width in (255, 256, 511, 512, 1023, 1024, 10**6)] == [
        1, 2, 2, 4, 4, 8, 8
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("channels", "side", "text"),
    [(2, 8, "reduction channels must be 1 or 3, got 2"), (3, 0, "reduction side must be at least 1 pixel, got 0")],
)
def test_a_field_that_cannot_be_used_is_refused(channels: int, side: int, text: str) -> None:
    with pytest.raises(UsageError, match=f"^{re.escape(text)}$"):
        Reduction(channels=channels, side=side)

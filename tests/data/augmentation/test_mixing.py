import numpy as np
import pytest
from numpy.typing import NDArray

from convwise.data.augmentation import Draw
from convwise.data.augmentation.mixing import mix


def flat(level: int, side: int = 4) -> NDArray[np.uint8]:
    return np.full((side, side, 3), level, np.uint8)


def test_mixup_is_the_weighted_mean_rounded() -> None:
    image = flat(100)
    assert mix(image, flat(201), Draw(mixed="mixup", share=0.25)) == 0.25
    assert (image == 176).all()  # 25 + 150.75


def test_cutmix_puts_the_partner_s_rectangle_in_and_tells_what_is_left() -> None:
    # a share of 3/4 leaves a rectangle of half the side; about (0.5, 0.25) it lies in columns 1, 2 and rows 0, 1
    image = flat(0)
    assert mix(image, flat(9), Draw(mixed="cutmix", share=0.75, mixed_place=(0.5, 0.25))) == 0.75
    assert image[:, :, 0].tolist() == [[0, 9, 9, 0], [0, 9, 9, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_the_border_cuts_cutmix_s_rectangle_and_the_share_follows() -> None:
    image = flat(0)
    assert mix(image, flat(9), Draw(mixed="cutmix", share=0.75, mixed_place=(0.0, 0.0))) == 1 - 1 / 16
    assert image[:, :, 0].tolist() == [[9, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize("how", ["mixup", "cutmix"])
def test_all_or_nothing(how: str) -> None:
    image = flat(10)
    assert mix(image, flat(200), Draw(mixed=how, share=1.0)) == 1
    assert (image == 10).all()
    assert mix(image, flat(200), Draw(mixed=how, share=0.0)) == 0
    assert (image == 200).all()


def test_without_a_mixture_nothing_happens() -> None:
    image = flat(10)
    assert mix(image, flat(200), Draw()) == 1
    assert (image == 10).all()

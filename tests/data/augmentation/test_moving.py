"""Images moved and mirrored together have the bytes that each has alone."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from convwise.data.augmentation import Augmentation, draw, moving
from convwise.data.augmentation.applying import apply, apply_all
from convwise.data.augmentation.batches import Epoch, batches
from convwise.data.preprocessing import Preprocessing
from convwise.errors import UsageError

Pixels = NDArray[np.uint8]

N = 300


def noise(height: int, width: int, channels: int = 3, n: int = N) -> list[Pixels]:
    return list(np.random.default_rng(0).integers(0, 256, (n, height, width, channels), np.uint8))


def rule(resolution: int, channels: int = 3, **fields: Any) -> Preprocessing:
    return Preprocessing(
        channels=channels, resolution=resolution, mean=(99.0,) * channels, std=(1.0,) * channels, **fields
    )


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images each call of `move` gets."""
    calls: list[int] = []

    def move(images: list[Pixels], *rest: Any) -> None:
        calls.append(len(images))
        moving.move(images, *rest)

    monkeypatch.setattr("convwise.data.augmentation.applying.move", move)
    return calls


def check(images: list[Pixels], how: Augmentation, preprocessing: Preprocessing) -> None:
    draws = draw(how, 3, 1, range(len(images)))
    out = np.zeros((len(images), *preprocessing.shape), np.uint8)
    apply_all(iter(images), draws, preprocessing, out)
    for pixels, drawn, found in zip(images, draws, out, strict=True):
        assert np.array_equal(apply(pixels, drawn, how, preprocessing), found)


@pytest.mark.parametrize("border", ["reflect", "black"])
@pytest.mark.parametrize("shift", [0.0, 0.125, 1.0])
@pytest.mark.parametrize(
    ("height", "width", "preprocessing"),
    [
        (32, 32, rule(32, crop=1.0)),
        (28, 28, rule(28, 1, crop=1.0)),
        (16, 16, rule(14)),  # 7/8: no border is seen where the shift is small
        (20, 41, rule(20, crop=1.0)),  # the middle square of a wide image
        (41, 20, rule(20, crop=1.0)),
        (12, 20, rule(20, fit="pad")),
        (5, 5, rule(5, fit="squash")),
        (1, 1, rule(1, crop=1.0)),
    ],
)
def test_moved_together_or_alone_images_have_the_same_bytes(
    counted: list[int], border: Any, shift: float, height: int, width: int, preprocessing: Preprocessing
) -> None:
    images = noise(height, width, preprocessing.channels)
    how = Augmentation(mirror=0.5, shift=shift, border=border) if shift else Augmentation(mirror=0.5)
    check(images, how, preprocessing)
    assert counted == [N]


def test_mirror_alone_and_nothing_at_all_are_done_together(counted: list[int]) -> None:
    for how in (Augmentation(), Augmentation(mirror=0.5), Augmentation(mirror=1.0), Augmentation(shift=0.2)):
        check(noise(9, 9), how, rule(9, crop=1.0))
    assert counted == [N] * 4


def test_colours_and_erasing_follow_image_by_image(counted: list[int]) -> None:
    how = Augmentation.usual("mirror", "shift", "contrast", "hue", "channel_shift", "erasing")
    check(noise(16, 16), how, rule(16, crop=1.0))
    check(noise(16, 16, 1), how, rule(16, 1, crop=1.0))
    assert counted == [N, N]


@pytest.mark.parametrize("operation", ["rotation", "shear", "warp", "area", "zoom"])
def test_what_is_interpolated_goes_alone(counted: list[int], operation: str) -> None:
    check(noise(16, 16, n=9), Augmentation.usual("mirror", operation), rule(16, crop=1.0))
    assert not counted


def test_images_of_several_sizes_go_alone(counted: list[int]) -> None:
    how = Augmentation.usual("mirror", "shift")
    check([*noise(16, 16, n=5), *noise(16, 17, n=1), *noise(16, 16, n=3)], how, rule(16, crop=1.0))
    check(noise(16, 16, n=9), how, rule(16))  # 14 of 16 pixels become 16
    check(noise(16, 17, n=9), how, rule(16, fit="squash"))
    assert not counted


def test_an_image_that_is_none_is_refused_as_alone() -> None:
    images: list[Any] = [*noise(8, 8, n=2), np.zeros((8, 8, 3), np.float32)]
    draws = draw(Augmentation(), 0, 0, range(3))
    text = r"^an image to augment must be uint8 \(H, W, 3\) with at least one pixel, got float32 \(8, 8, 3\)$"
    for order in ([2], [0, 1, 2]):
        with pytest.raises(UsageError, match=text):
            apply_all((images[i] for i in order), draws, rule(8, crop=1.0), np.zeros((3, 8, 8, 3), np.uint8))


def test_batches_have_the_same_bytes_at_any_number_of_threads_and_in_any_sizes() -> None:
    images, preprocessing = noise(16, 16), rule(16, crop=1.0)
    for how in (Augmentation.usual("mirror", "shift"), Augmentation.usual("mirror", "shift", "mixup", "cutmix")):
        found = set()
        for sizes in ([N], [7] * 42 + [6]):
            for threads in (0, 1, 2, 4):
                made = batches(images, Epoch.shuffled(0, 0, sizes), how, preprocessing, threads=threads)
                found.add(b"".join(np.concatenate(part).tobytes() for part in zip(*made, strict=True)))
        assert len(found) == 1

"""Images of one size that are only moved by whole pixels and mirrored: a few calls for all of them.

Small images take less time than the Python around them, of which only one thread runs at a time: beside a training, its
own thread must wait for each call. The levels are those of `warp`, byte for byte.
"""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ..preprocessing import Preprocessing
from .drawing import Draw, Draws
from .record import Augmentation
from .warping import Box, Pixels, border_of, crop_box, places

START, END = Draw(place=(0.0, 0.0)), Draw(place=(1.0, 1.0))


def movable(images: Iterator[Pixels], draws: Draws, preprocessing: Preprocessing) -> tuple[list[Pixels], bool]:
    """Take images as long as they can be moved together.

    Args:
        images: as many as there are draws; the rest stays in it.
        draws: what they get.
        preprocessing: the evaluation's.

    Returns:
        Those that were taken, the first that cannot be moved with them included, and whether all of them can be.
    """
    a = draws.augmentation
    if a.area is not None or a.zoom is not None or a.rotation or a.shear or a.warp:
        return [], False
    taken: list[Pixels] = []
    for pixels in images:
        taken.append(pixels)
        alike = pixels.shape == taken[0].shape and pixels.dtype == np.uint8
        if not alike or (len(taken) == 1 and not _is_copied(pixels, a, preprocessing)):
            return taken, False
    return taken, True


def _is_copied(pixels: Pixels, a: Augmentation, preprocessing: Preprocessing) -> bool:
    """Whether the crop of an image has the size of the output."""
    if pixels.ndim != 3 or pixels.shape[2] != preprocessing.channels or not pixels.size:
        return False
    box = crop_box(pixels.shape[0], pixels.shape[1], START, a, preprocessing)
    return box.width == box.height == preprocessing.resolution


def move(images: Sequence[Pixels], draws: Draws, preprocessing: Preprocessing, out: Pixels) -> None:
    """Crop and mirror.

    Args:
        images: n of one shape, uint8 (H, W, C), that `movable` took.
        draws: theirs.
        preprocessing: the evaluation's.
        out: uint8 (n, resolution, resolution, C), C-contiguous.
    """
    n, side, channels = len(images), preprocessing.resolution, preprocessing.channels
    height, width, _ = images[0].shape
    a = draws.augmentation
    border = border_of(a, preprocessing)
    first, last = (crop_box(height, width, end, a, preprocessing) for end in (START, END))
    left, top = _corners(draws, crop_box(height, width, Draw(), a, preprocessing), first, last)
    # all rows of all images one below the other, and a black one
    tall = np.concatenate([*images, np.zeros((1, width, channels), np.uint8)])
    before, after = max(0, -first.left), max(0, last.right - width)
    tall = cv2.copyMakeBorder(tall, 0, 0, before, after, border).reshape(len(tall), -1)
    rows = np.array([cv2.borderInterpolate(y, height, border) for y in range(first.top, last.bottom)])
    seen = rows[top[:, None] - first.top + np.arange(side)]  # (n, side)
    seen = np.where(seen < 0, n * height, seen + height * np.arange(n)[:, None])
    windows = sliding_window_view(tall, side * channels, axis=1)
    out.reshape(n, side, -1)[:] = windows[seen, channels * (left[:, None] + before)]
    if draws.turn is not None:
        _mirror(out, draws.turn[0] < 0)


def _corners(draws: Draws, middle: Box, first: Box, last: Box) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Left and top of each crop, (n,) each."""
    if draws.place is None:
        return np.full(draws.n, middle.left), np.full(draws.n, middle.top)
    across, down = draws.place
    return first.left + places(across, last.left - first.left), first.top + places(down, last.top - first.top)


def _mirror(pixels: Pixels, which: NDArray[np.bool_]) -> None:
    """Exchange left and right of some images, in place."""
    if which.any():
        chosen = pixels[which]
        tall = chosen.reshape(-1, *pixels.shape[2:])  # as if they were one image
        pixels[which] = cv2.flip(tall, 1).reshape(chosen.shape)

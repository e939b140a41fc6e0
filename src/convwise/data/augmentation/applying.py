"""A draw applied to one image: one warp, one colour matrix, and what is erased."""

import math
from collections.abc import Iterable
from itertools import chain

import cv2
import numpy as np

from ...errors import UsageError
from ..preprocessing import Preprocessing
from .colour import LUMA
from .drawing import Draw, Draws
from .moving import movable, move
from .record import Augmentation
from .warping import Pixels, warp


def apply(
    pixels: Pixels, draw: Draw, augmentation: Augmentation, preprocessing: Preprocessing, out: Pixels | None = None
) -> Pixels:
    """Augment one image.

    The order is crop, rotation, shear, mirror and local warp in one interpolation; brightness, contrast, saturation,
    hue, channel shift and PCA colour in one matrix, rounded and clipped once; then erasing.

    Args:
        pixels: uint8 (H, W, channels), any size.
        draw: what this sample gets.
        augmentation: what the draw was drawn from.
        preprocessing: the evaluation's; gives crop, fit, resolution and channels.
        out: uint8 (resolution, resolution, channels), C-contiguous; a new array by default.

    Returns:
        `out`.

    Raises:
        UsageError: the image has another shape or type.
    """
    if pixels.ndim != 3 or pixels.shape[2] != preprocessing.channels or pixels.dtype != np.uint8 or not pixels.size:
        raise UsageError(
            f"an image to augment must be uint8 (H, W, {preprocessing.channels}) with at least one pixel, "
            f"got {pixels.dtype} {pixels.shape}"
        )
    if out is None:
        out = np.empty(preprocessing.shape, np.uint8)
    warp(pixels, draw, augmentation, preprocessing, out)
    _finish(out, draw, preprocessing)
    return out


def apply_all(images: Iterable[Pixels], draws: Draws, preprocessing: Preprocessing, out: Pixels) -> None:
    """Augment n images into `out` (n, resolution, resolution, channels) as `apply` does each of them, byte for byte."""
    rest = iter(images)
    taken, together = movable(rest, draws, preprocessing)
    if not together:
        for pixels, drawn, view in zip(chain(taken, rest), draws, out, strict=True):
            apply(pixels, drawn, draws.augmentation, preprocessing, view)
        return
    move(taken, draws, preprocessing, out)
    if draws.colour is not None or draws.erased is not None:
        for drawn, view in zip(draws, out, strict=True):
            _finish(view, drawn, preprocessing)


def _finish(pixels: Pixels, draw: Draw, preprocessing: Preprocessing) -> None:
    """All but the geometry, in place."""
    if draw.colour is not None:
        _recolour(pixels, draw)
    if draw.erased is not None:
        _erase(pixels, draw.erased, preprocessing.mean)


def made_by() -> dict[str, str]:
    """The libraries that decide the last bits of an augmented image, with their versions."""
    return {"opencv": cv2.__version__, "numpy": np.__version__}


def _recolour(pixels: Pixels, draw: Draw) -> None:
    """Apply the colour matrix in place."""
    assert draw.colour is not None
    matrix = draw.colour.copy()
    if pixels.shape[2] == 1:  # the luma of what would come of a grey RGB image
        matrix = np.array([[np.dot(LUMA, matrix[:, :3].sum(axis=1)), np.dot(LUMA, matrix[:, 3])]], np.float32)
        pixels = pixels[:, :, 0]
    if draw.contrast:
        means = cv2.mean(pixels)
        mean = means[0] if pixels.ndim == 2 else float(np.dot(LUMA, means[:3]))
        matrix[:, -1] += draw.contrast * mean
    cv2.transform(pixels, matrix, pixels)


def _erase(pixels: Pixels, erased: tuple[float, float, float, float], mean: tuple[float, ...]) -> None:
    """Put the mean into a rectangle, in place."""
    size = len(pixels)
    width, height = (max(1, round(share * size)) for share in erased[:2])
    left, top = math.floor(erased[2] * (size - width + 1)), math.floor(erased[3] * (size - height + 1))
    pixels[top : top + height, left : left + width] = np.round(mean).astype(np.uint8)

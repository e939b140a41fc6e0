"""One image through one sampling map: crop, rotation, shear, mirror and local warp with a single interpolation.

Points are (x, y) in pixels, the first pixel from 0 to 1; OpenCV's own count starts at that pixel's centre.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from ..preprocessing import Preprocessing
from .drawing import Draw
from .record import Augmentation

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

COARSEST = 1.5  # pixels of the image a pixel of the output, mean of both axes: beyond, the image is halved first
COARSEST_AXIS = 2.0  # the same along one axis, for what is squashed
OVERSHOOT = 1.35  # cubic interpolation of the grid goes beyond its nodes by less
BORDERS = {"reflect": cv2.BORDER_REFLECT_101, "black": cv2.BORDER_CONSTANT}


class Box(NamedTuple):
    """A rectangle of whole pixels; it may reach beyond the image."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """In pixels."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """In pixels."""
        return self.bottom - self.top


def warp(pixels: Pixels, draw: Draw, augmentation: Augmentation, preprocessing: Preprocessing, out: Pixels) -> None:
    """Sample an image (H, W, C) into `out` (resolution, resolution, C).

    A crop that lies straight is resized, or copied where it has the size of the output, which changes no level;
    everything else goes through one map.
    """
    border = border_of(augmentation, preprocessing)
    box = crop_box(pixels.shape[0], pixels.shape[1], draw, augmentation, preprocessing)
    if pixels.shape[2] == 1:
        pixels, out = pixels[:, :, 0], out[:, :, 0]  # what OpenCV makes of one channel
    a, b, c, d = draw.turn
    straight = draw.grid is None and b == c == 0 and d == abs(a) == 1
    if straight and box.width == box.height == len(out):
        _copy(pixels, box, border, a < 0, out)
    elif straight and _inside(box, pixels):
        crop = pixels[box.top : box.bottom, box.left : box.right]
        reduced, _, _ = _halved(crop, box.width / len(out), box.height / len(out))
        _resize(reduced, a < 0, out)
    else:
        _sample(pixels, box, draw, border, out)


def border_of(augmentation: Augmentation, preprocessing: Preprocessing) -> int:
    """OpenCV's word for what is seen beyond the image."""
    return BORDERS["black" if preprocessing.fit == "pad" else augmentation.border]


def crop_box(height: int, width: int, draw: Draw, augmentation: Augmentation, preprocessing: Preprocessing) -> Box:
    """Place the crop in an image of this size; without size and shift it is the evaluation's."""
    if draw.size is not None:
        w, h = _drawn_sides(height, width, draw.size, square=augmentation.zoom is not None)
        left, top = _place(draw.place[0], width - w), _place(draw.place[1], height - h)
    else:
        sides = {"crop": max(1, int(min(width, height) * preprocessing.crop)), "pad": max(width, height)}
        w, h = (sides[preprocessing.fit],) * 2 if preprocessing.fit in sides else (width, height)
        across, down = round(augmentation.shift * w), round(augmentation.shift * h)
        left = (width - w) // 2 - across + _place(draw.place[0], 2 * across)
        top = (height - h) // 2 - down + _place(draw.place[1], 2 * down)
    return Box(left, top, left + w, top + h)


def _drawn_sides(height: int, width: int, size: tuple[float, float], *, square: bool) -> tuple[int, int]:
    """Width and height of a crop, in pixels; one that is too wide or too high gets smaller along both, not narrower."""
    unit = min(width, height) if square else math.sqrt(width * height)
    unit *= min(1, width / (size[0] * unit), height / (size[1] * unit))
    return min(width, max(1, round(size[0] * unit))), min(height, max(1, round(size[1] * unit)))


def _place(share: float, room: int) -> int:
    """One of room + 1 places, each as likely."""
    return min(room, int(share * (room + 1)))


def places(shares: Floats, room: int) -> NDArray[np.int64]:
    """`_place` for many, (n,)."""
    return np.minimum(room, (shares.astype(float) * (room + 1)).astype(np.int64))


def _inside(box: Box, pixels: Pixels) -> bool:
    return box.left >= 0 <= box.top and box.right <= pixels.shape[1] and box.bottom <= pixels.shape[0]


def _copy(pixels: Pixels, box: Box, border: int, mirrored: bool, out: Pixels) -> None:
    if not _inside(box, pixels):
        height, width = pixels.shape[:2]
        left, top = max(0, -box.left), max(0, -box.top)
        right, bottom = max(0, box.right - width), max(0, box.bottom - height)
        pixels = cv2.copyMakeBorder(pixels, top, bottom, left, right, border)
        box = Box(box.left + left, box.top + top, box.right + left, box.bottom + top)
    crop = pixels[box.top : box.bottom, box.left : box.right]
    if mirrored:
        cv2.flip(crop, 1, out)
    else:
        out[:] = crop


def _resize(crop: Pixels, mirrored: bool, out: Pixels) -> None:
    """Resize, by Intel's kernels where OpenCV has them: quicker than its own, and nearer to the exact levels."""
    before = cv2.ipp.useIPP_NotExact()  # of this thread; "not exact" means other roundings than OpenCV's own
    cv2.ipp.setUseIPP_NotExact(True)
    try:
        cv2.resize(crop, out.shape[1::-1], out)
    finally:
        cv2.ipp.setUseIPP_NotExact(before)
    if mirrored:
        cv2.flip(out, 1, out)


def _halved(pixels: Pixels, across: float, down: float) -> tuple[Pixels, int, int]:
    """Halve an image, by means of 2 x 2 pixels, until a pixel of the output spans few enough: nothing then aliases.

    Args:
        pixels: the image; an odd last row or column is left out.
        across: pixels of it that a pixel of the output spans, along x.
        down: the same along y.

    Returns:
        What is left, in memory of its own, and how many columns and rows of the image became one. An interpolation
        would wait for the memory of each row in turn, where a copy does not: with it, it is a third quicker.
    """
    columns = rows = 1
    while True:
        if across > 1 < down and across * down > COARSEST**2:
            x, y = 2, 2
        elif max(across, down) > COARSEST_AXIS:
            x, y = (2, 1) if across > down else (1, 2)
        else:
            break
        height, width = pixels.shape[0] // y, pixels.shape[1] // x
        if not (height and width):
            break
        # linear interpolation at exactly half the size is the mean
        pixels = cv2.resize(pixels[: height * y, : width * x], (width, height), interpolation=cv2.INTER_LINEAR)
        across, down, columns, rows = across / x, down / y, columns * x, rows * y
    return pixels.copy() if columns == rows == 1 else pixels, columns, rows


def _sample(pixels: Pixels, box: Box, draw: Draw, border: int, out: Pixels) -> None:
    """Sample through one map."""
    size = len(out)
    across, down = box.width / size, box.height / size
    a, b, c, d = draw.turn
    a, b, c, d = a * across, b * across, c * down, d * down  # pixels of the image a pixel of the output
    centre = (box.left + box.right) / 2, (box.top + box.bottom) / 2
    reach = size / 2 * (1 if draw.grid is None else 1 + 2 * OVERSHOOT * float(np.abs(draw.grid).max()))
    region = _region(centre, reach * (abs(a) + abs(b)), reach * (abs(c) + abs(d)), pixels)
    source = pixels[region.top : region.bottom, region.left : region.right]
    reduced, columns, rows = _halved(source, across, down)
    a, b, c, d = a / columns, b / columns, c / rows, d / rows
    middle = (size - 1) / 2
    matrix = np.array(
        [
            [a, b, (centre[0] - region.left) / columns - 0.5 - (a + b) * middle],
            [c, d, (centre[1] - region.top) / rows - 0.5 - (c + d) * middle],
        ]
    )
    if draw.grid is None:
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        cv2.warpAffine(reduced, matrix, (size, size), out, flags=flags, borderMode=border)
    else:
        moved = cv2.resize(draw.grid * np.float32(size), (size, size), interpolation=cv2.INTER_CUBIC)
        moved += _identity(size)
        cv2.remap(reduced, cv2.transform(moved, matrix), None, cv2.INTER_LINEAR, out, border)


def _region(centre: tuple[float, float], across: float, down: float, pixels: Pixels) -> Box:
    """What is needed of the image for samples so far from a centre: reflections begin at its own border alone."""
    (left, right), (top, bottom) = (
        _needed(middle - reach - 2, middle + reach + 2, length)
        for middle, reach, length in zip(centre, (across, down), pixels.shape[1::-1], strict=True)
    )
    return Box(left, top, right, bottom)


def _needed(low: float, high: float, length: int) -> tuple[int, int]:
    """The part of 0..length that samples from low to high read, those reflected at the ends among them."""
    low, high = min(low, 2 * length - high), max(high, -low)
    return max(0, min(length - 1, math.floor(low))), min(length, max(1, math.ceil(high)))


@lru_cache(maxsize=8)
def _identity(size: int) -> Floats:
    """The map that changes nothing, (size, size, 2), x and y."""
    grid = np.moveaxis(np.indices((size, size), np.float32)[::-1], 0, 2).copy()
    grid.flags.writeable = False
    return grid

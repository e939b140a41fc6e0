"""Two images made one, with the share that the first one's label keeps: mixup and cutmix, on uint8 levels.

The partner of a sample is the next one in the epoch's order, augmented by its own draw. Mixing levels before they are
normalised differs from mixing afterwards, which is linear too, by the rounding to whole levels alone.
"""

import math

import cv2

from .drawing import Draw
from .warping import Pixels


def mix(pixels: Pixels, partner: Pixels, draw: Draw) -> float:
    """Mix the partner into an image, both uint8 (H, W, C), in place; returns the share of the image."""
    if draw.mixed == "mixup":
        cv2.addWeighted(pixels, draw.share, partner, 1 - draw.share, 0, pixels)
        return draw.share
    if draw.mixed == "cutmix":
        top, bottom = _cut(draw.mixed_place[1], draw.share, pixels.shape[0])
        left, right = _cut(draw.mixed_place[0], draw.share, pixels.shape[1])
        pixels[top:bottom, left:right] = partner[top:bottom, left:right]
        height, width = pixels.shape[:2]
        return 1 - float((bottom - top) * (right - left)) / float(height * width)
    return 1.0


def _cut(centre: float, share: float, length: int) -> tuple[int, int]:
    """Where the rectangle begins and ends along one side: it has the partner's share, unless the border cuts it."""
    half = math.sqrt(1 - share) / 2
    return max(0, round((centre - half) * length)), min(length, round((centre + half) * length))

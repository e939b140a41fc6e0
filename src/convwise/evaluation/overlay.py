"""Heat laid over its photo: the photo in grey, the places that spoke for the class in colours that brighten with it."""

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..data.preprocessing import Preprocessing

Floats = NDArray[np.float32]

DIM, SEEN = 0.45, 0.8  # brightness of the photo that the network does not see, and of what it sees without heat
OPAQUE = 0.65  # of the colour at full heat: the photo still shows through


def overlay(photo: Image.Image, heat: Floats, preprocessing: Preprocessing) -> Image.Image:
    """Lay heat over an upright RGB photo of any size.

    Args:
        photo: as it is looked at.
        heat: (H, W) in [0, 1], over what the network saw of it.
        preprocessing: says which part that was; the rest is darkened.
    """
    width, height = photo.size
    left, top, right, bottom = preprocessing.frame(width, height)
    box = (round(left), round(top), max(round(right), round(left) + 1), max(round(bottom), round(top) + 1))
    size = box[2] - box[0], box[3] - box[1]
    smooth = Image.fromarray(heat).resize(size, Image.Resampling.BICUBIC)
    canvas = Image.new("F", photo.size)
    canvas.paste(smooth, box[:2])
    share = np.asarray(canvas).clip(0, 1)
    seen = np.zeros(share.shape, bool)
    seen[max(box[1], 0) : box[3], max(box[0], 0) : box[2]] = True
    grey = np.asarray(photo.convert("L"), np.float32)[..., None] * np.where(seen, SEEN, DIM)[..., None]
    opacity = OPAQUE * np.sqrt(share)[..., None]
    mixed = (1 - opacity) * grey + opacity * colours()[(share * 255).round().astype(int)]
    return Image.fromarray(mixed.round().clip(0, 255).astype(np.uint8))


@cache
def colours() -> Floats:
    """A map of 256 colours, (256, 3) in 0..255, from dark violet through red to yellow: the more, the brighter.

    The lightness of Oklab (Ottosson, 2020) rises evenly from 0.3 to 0.95, but for what sRGB cannot show, while the hue
    turns from 300 to 105 degrees.
    """
    share = np.linspace(0, 1, 256)
    light, hue = 0.3 + 0.65 * share, np.radians(300 + 165 * share)
    chroma = 0.14 + 0.08 * np.sin(math.pi * share)
    a, b = chroma * np.cos(hue), chroma * np.sin(hue)
    lms = np.stack(
        [
            light + 0.3963377774 * a + 0.2158037573 * b,
            light - 0.1055613458 * a - 0.0638541728 * b,
            light - 0.0894841775 * a - 1.2914855480 * b,
        ]
    ) ** 3  # fmt: skip
    to_rgb = [
        [4.0767416621, -3.3077115913, 0.2309699292],
        [-1.2684380046, 2.6097574011, -0.3413193965],
        [-0.0041960863, -0.7034186147, 1.7076147010],
    ]
    linear = (np.array(to_rgb) @ lms).clip(0, 1)
    coded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return (255 * coded.T).astype(np.float32)

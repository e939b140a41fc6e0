"""From random numbers to what each operation does, for n samples at once; an operation that is off gives None.

Sums and products of float32 in a fixed order, element by element: a sample gets the same bits in any company.
"""

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ...errors import UsageError
from . import hashing
from .colour import colour_matrices
from .record import Augmentation

Floats = NDArray[np.float32]
Uniforms = tuple[Floats, Floats, Floats]
Source = Callable[[str], Uniforms]  # three numbers in (0, 1) a sample for the name of a stream

ERASED_RATIO = 0.3, 1 / 0.3  # width over height, of the paper on random erasing


def _spread(uniform: Floats, most: float) -> Floats:
    """From -most to most."""
    spread: Floats = (2 * uniform - 1) * np.float32(most)
    return spread


def _logarithmic(uniform: Floats, low: float, high: float) -> Floats:
    """From low to high, as often in each octave."""
    octaves: Floats = np.exp(np.float32(np.log(low)) + np.float32(np.log(high / low)) * uniform)
    return octaves


def _sides(area: Floats, ratio: Floats) -> Floats:
    """Width and height (2, n) of rectangles of an area and a ratio of width to height."""
    return np.stack([np.sqrt(area * ratio), np.sqrt(area / ratio)])


def sizes(a: Augmentation, uniforms: Source) -> Floats | None:
    """Width and height of the crop, (2, n), in geometric means of the sides, or with `zoom` in the shorter one."""
    if a.area is None and a.zoom is None:
        return None
    of_area, of_ratio, _ = uniforms("size")
    if a.zoom is not None:
        low, high = a.zoom
        side = 1 / (np.float32(low) + np.float32(high - low) * of_area)
        return np.stack([side, side])
    assert a.area is not None
    low, high = a.area
    return _sides(np.float32(low) + np.float32(high - low) * of_area, _logarithmic(of_ratio, *a.ratio))


def turns(a: Augmentation, uniforms: Source, n: int) -> Floats | None:
    """Rotation times shear times mirror, (4, n): the rows of a matrix from output to crop."""
    if not (a.mirror or a.rotation or a.shear):
        return None
    angle, lean = np.zeros((2, n), np.float32)
    if a.rotation or a.shear:
        turned, leant, _ = uniforms("turn")
        angle, lean = _spread(turned, np.radians(a.rotation)), np.tan(_spread(leant, np.radians(a.shear)))
    cosine, sine = np.cos(angle), np.sin(angle)
    turns = np.stack([cosine, lean * cosine - sine, sine, lean * sine + cosine])
    if a.mirror:
        turns[::2] *= np.where(uniforms("mirror")[0] < a.mirror, np.float32(-1), np.float32(1))
    return turns


def grids(words: hashing.Words, a: Augmentation) -> Floats:
    """Displacements (n, nodes, nodes, 2), each uniform; the words are the states of generators of their own."""
    count = 2 * a.warp_nodes**2
    steps = np.arange(1, 1 + -(-count // 3), dtype=np.uint64) * np.uint64(hashing.GOLDEN)
    uniform = np.concatenate(hashing.uniforms(hashing.mix(words[:, None] + steps)), axis=1)[:, :count]
    return _spread(uniform, a.warp).reshape(-1, a.warp_nodes, a.warp_nodes, 2)


def colours(a: Augmentation, uniforms: Source, n: int) -> tuple[Floats | None, Floats | None]:
    """Colour matrices (3, 4, n), and what contrast adds of an image's own mean (n,)."""
    if not (a.brightness or a.contrast or a.saturation or a.hue or a.channel_shift or a.pca):
        return None, None
    one = np.ones(n, np.float32)
    factors = [one, one, one]
    if a.brightness or a.contrast or a.saturation:
        strengths = (a.brightness, a.contrast, a.saturation)
        factors = [1 + _spread(u, most) for u, most in zip(uniforms("tone"), strengths, strict=True)]
    hue = _spread(uniforms("hue")[0], np.radians(a.hue)) if a.hue else np.zeros(n, np.float32)
    added = np.zeros((3, n), np.float32)
    if a.channel_shift:
        added += _spread(np.stack(uniforms("channels")), a.channel_shift)
    if a.pca:
        if isinstance(a.pca_colours, str):
            raise UsageError("pca_colours 'own' must be found before anything is drawn: use with_own_colours")
        for normal, colour in zip(_normals(uniforms), a.pca_colours, strict=True):  # no BLAS, whose sums depend on n
            added += normal * (np.float32(a.pca) * np.array(colour, np.float32)[:, None])
    brightness, contrast, saturation = factors
    matrices, of_mean = colour_matrices(brightness, contrast, saturation, hue, added)
    return matrices, of_mean if a.contrast else None


def _normals(uniforms: Source) -> Floats:
    """Three normal numbers a sample, (3, n), by Box and Muller."""
    first, second, third = uniforms("pca")
    fourth, _, _ = uniforms("pca 2")
    radius, turn = np.sqrt(-2 * np.log(first)), np.float32(2 * np.pi) * second
    other = np.sqrt(-2 * np.log(third)) * np.cos(np.float32(2 * np.pi) * fourth)
    return np.stack([radius * np.cos(turn), radius * np.sin(turn), other])


def erased(a: Augmentation, uniforms: Source) -> Floats | None:
    """Width, height and place of the erased rectangle, (4, n); all 0 where there is none."""
    if not a.erasing:
        return None
    hit, of_area, of_ratio = uniforms("erase")
    low, high = a.erased_area
    sides = _sides(np.float32(low) + np.float32(high - low) * of_area, _logarithmic(of_ratio, *ERASED_RATIO))
    found: Floats = np.concatenate([np.minimum(sides, 1), uniforms("erased place")[:2]]) * (hit < a.erasing)
    return found


def mixtures(a: Augmentation, uniforms: Source) -> tuple[NDArray[np.bool_] | None, Floats | None, Floats | None]:
    """Whether by cutmix, the image's own share, and the centre of the rectangle."""
    if not a.mixes:
        return None, None, None
    coin, of_share, _ = uniforms("mix")
    cut = coin < (0.5 if a.mixup and a.cutmix else float(a.cutmix > 0))
    shares = [_beta(parameter, of_share) for parameter in (a.mixup, a.cutmix) if parameter]
    return cut, np.where(cut, shares[-1], shares[0]), np.stack(uniforms("mixed place")[:2])


def _beta(parameter: float, uniform: Floats) -> Floats:
    """Numbers of the distribution Beta(parameter, parameter), by its inverse."""
    table = _beta_table(parameter)
    place = np.minimum(uniform, 1 - uniform) * np.float32(2 * (len(table) - 1))  # it is symmetric
    below = np.minimum(place.astype(np.int32), len(table) - 2)
    start = table[below]
    low = start + (table[below + 1] - start) * (place - below.astype(np.float32))
    found: Floats = np.where(uniform < 0.5, low, 1 - low)
    return found


@cache
def _beta_table(parameter: float, points: int = 8193) -> Floats:
    """Values of probabilities that rise evenly from 0 to 1/2.

    With x = t^(1 / parameter) the density has no pole at 0, and the trapezoidal rule does for its integral.
    """
    values = np.linspace(0, 0.5**parameter, points) ** (1 / parameter)
    density = (1 - values) ** (parameter - 1)
    reached = np.concatenate([[0], np.cumsum(density[1:] + density[:-1])])
    table: Floats = np.interp(np.linspace(0, 1, points), reached / reached[-1], values).astype(np.float32)
    return table

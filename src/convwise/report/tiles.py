"""What a contact sheet of augmentation shows of each operation: its effect at evenly spread strengths."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ..data.augmentation import OPERATIONS, Augmentation, Draw, hashing
from ..data.augmentation.drawing import compose
from ..data.augmentation.operations import Floats, Uniforms
from ..data.augmentation.record import Colours
from ..data.augmentation.warping import crop_box
from ..data.preprocessing import Preprocessing
from .seen import Pixels, picture

Caption = Callable[[Augmentation, float], str]

EVENLY, MIDDLE = (0.0, 0.25, 0.75, 1.0), (0.2, 0.4, 0.6, 0.8)  # at the ends of its range a mixture shows nothing
EXACT = 1e-6  # inside (0, 1), where random numbers are


class Tile(NamedTuple):
    """One picture, uint8 (side, side, 3), and what is said below it."""

    pixels: Pixels
    caption: str


class Row(NamedTuple):
    """One operation: its name, what it does and how strongly, and its pictures, the first unchanged."""

    title: str
    detail: str
    tiles: list[Tile]


class Shown(NamedTuple):
    """How an operation is shown.

    Attributes:
        title: its name.
        detail: what it does; the fields of `Augmentation` stand in braces.
        main: which of its stream's three random numbers goes through `steps`; the others come along shifted.
        caption: of a strength, from that number.
        steps: the numbers.
    """

    title: str
    detail: str
    main: int
    caption: Caption
    steps: tuple[float, ...] = EVENLY


def signed(value: float, unit: str) -> str:
    """A number with its sign."""
    return f"{value:+.3g}{unit}"


def _spread(field: str, unit: str, scale: float = 1.0) -> Caption:
    return lambda a, u: signed(scale * (2 * u - 1) * getattr(a, field), unit)


def _factor(field: str) -> Caption:
    return lambda a, u: f"x {1 + (2 * u - 1) * getattr(a, field):.2g}"


def _erased(a: Augmentation, u: float) -> str:
    low, high = a.erased_area
    return f"{low + (high - low) * u:.0%} of the area"


def _zoom(a: Augmentation, u: float) -> str:
    assert a.zoom is not None
    low, high = a.zoom
    return f"x {low + (high - low) * u:.2f}"


def _says(text: str) -> Caption:
    return lambda a, u: text  # noqa: ARG005


def _shifts(a: Augmentation, u: float) -> str:
    first = EVENLY.index(u)
    levels = [(2 * EVENLY[(first + step) % len(EVENLY)] - 1) * a.channel_shift for step in range(3)]
    return " ".join(signed(level, "") for level in levels)


def _sd(a: Augmentation, u: float) -> str:  # noqa: ARG001
    return signed(u, " sd")


def _first_normal(values: Floats, stream: str) -> Uniforms:
    """Uniform numbers of which Box and Muller make these normal ones, and 0 for the second and third."""
    quarter = np.full_like(values, 0.25)
    if stream == "pca 2":
        return quarter, quarter, quarter
    return np.exp(-(values**2) / 2), np.where(values > 0, np.float32(0), np.float32(0.5)), quarter


DEGREES = "\N{DEGREE SIGN}"
# fmt: off
SHOWN = {
    "mirror": Shown("mirror", "left and right exchanged, probability {mirror:g}", 0, _says("mirrored"), (0.0,)),
    "area": Shown("random resized crop", "{area[0]:.0%} to {area[1]:.0%} of the area, 3:4 to 4:3", 0, _says("")),
    "zoom": Shown("zoom", "square crops; the shorter side is {zoom[0]:.2f} to {zoom[1]:.2f} times theirs", 0, _zoom),
    "shift": Shown("shift", "the crop by up to {shift:.3g} of its side each way", 0, _spread("shift", " % right", 100)),
    "rotation": Shown("rotation", "up to {rotation:g} degrees each way", 0, _spread("rotation", DEGREES)),
    "shear": Shown("shear", "up to {shear:g} degrees each way", 1, _spread("shear", DEGREES)),
    "warp": Shown("local warp", "{warp_nodes} x {warp_nodes} nodes move by up to {warp:g} of the side", 0, _says("")),
    "erasing": Shown("erasing", "one rectangle, probability {erasing:g}", 1, _erased),
    "brightness": Shown("brightness", "times 1 \N{PLUS-MINUS SIGN} {brightness:g}", 0, _factor("brightness")),
    "contrast": Shown(
        "contrast", "distance from the own mean, times 1 \N{PLUS-MINUS SIGN} {contrast:g}", 1, _factor("contrast")
    ),
    "saturation": Shown(
        "saturation", "distance from grey, times 1 \N{PLUS-MINUS SIGN} {saturation:g}", 2, _factor("saturation")
    ),
    "hue": Shown("hue", "up to {hue:g} degrees about the grey axis", 0, _spread("hue", DEGREES)),
    "channel_shift": Shown("colour shift", "R, G and B by up to {channel_shift:g} levels each", 0, _shifts),
    "pca": Shown("PCA colour", "these images' principal colours, sd {pca:g}; here the first", 0, _sd, (-2, -1, 1, 2)),
    "mixup": Shown("mixup", "mean with the next image, share from Beta({mixup:g}, {mixup:g})", 1, _says(""), MIDDLE),
    "cutmix": Shown("cutmix", "part of the next image, share from Beta({cutmix:g}, {cutmix:g})", 1, _says(""), MIDDLE),
}
# fmt: on


class Photographer:
    """Takes the pictures.

    Args:
        photos: uint8 (H, W, 3), two or more.
        pca_colours: of the images.
        seed: of what is drawn at random.
        side: of a picture, pixels.
    """

    def __init__(self, photos: Sequence[Pixels], pca_colours: Colours, *, seed: int, side: int) -> None:
        self._photos, self._seed = photos, seed
        self._usual = {name: Augmentation.usual(name) for name in OPERATIONS}
        self._usual["pca"] = replace(self._usual["pca"], pca_colours=pca_colours)
        self._preprocessing = Preprocessing(resolution=side, crop=1.0)  # as training from scratch has it

    def alone(self, name: str, photo: int) -> Row:
        """Show one operation."""
        shown, a = SHOWN[name], self._usual[name]
        n = len(shown.steps)
        words = hashing.word(hashing.states(self._seed, 0, np.arange(n)), 0)

        def numbers(stream: str) -> Uniforms:
            if name == "pca":
                return _first_normal(np.array(shown.steps, np.float32), stream)
            steps = np.clip(np.array(shown.steps, np.float32), EXACT, 1 - EXACT)
            first, second, third = (np.roll(steps, shown.main - place) for place in range(3))
            return (np.zeros_like(first) if stream == "erase" else first), second, third

        draws = compose(a, numbers, words)
        tiles = [self._unchanged(photo)]
        for step, drawn in zip(shown.steps, draws, strict=True):
            caption = self._area(photo, drawn, a) if name == "area" else shown.caption(a, step)
            tiles.append(self._picture(photo, drawn, a, caption))
        return Row(shown.title, shown.detail.format(**vars(a)), tiles)

    def _area(self, photo: int, drawn: Draw, a: Augmentation) -> str:
        """How much of the photo a crop has: less than was drawn, where that does not fit."""
        height, width = self._photos[photo % len(self._photos)].shape[:2]
        box = crop_box(height, width, drawn, a, self._preprocessing)
        return f"{box.width * box.height / (width * height):.0%} of the area"

    def _unchanged(self, photo: int) -> Tile:
        return self._picture(photo, Draw(), Augmentation(), "unchanged")

    def _picture(self, photo: int, drawn: Draw, a: Augmentation, caption: str) -> Tile:
        pixels, share = picture(self._photos, photo, (drawn, drawn), a, self._preprocessing)
        return Tile(pixels, f"{share:.0%} and {1 - share:.0%}" if drawn.mixed else caption)

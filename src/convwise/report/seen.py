"""What a training sees of an image: as many pixels as its network takes, changed as its recipe draws them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..data.augmentation import Augmentation, Draw, draw
from ..data.augmentation.applying import apply
from ..data.augmentation.mixing import mix
from ..data.preprocessing import Preprocessing

Pixels = NDArray[np.uint8]

COARSE = 2  # pixels of a picture for one of the network's: from here on its pixels are shown as squares


class Seen(NamedTuple):
    """What a training sees.

    Attributes:
        images: as they are prepared for it, uint8 (H, W, channels), one or more.
        augmentation: of its recipe.
        preprocessing: of its network.
        words: which network and recipe these are.
    """

    images: Sequence[Pixels]
    augmentation: Augmentation
    preprocessing: Preprocessing
    words: str

    @property
    def heading(self) -> str:
        """What is shown, for people."""
        resolution = self.preprocessing.resolution
        changes = strengths(self.augmentation) or "no image is changed"
        return (
            f"What training sees ({self.words}, {resolution} px: {changes}): "
            "an image a row, as an evaluation sees it and in its first epochs"
        )

    def row(self, number: int, epochs: int, *, seed: int, side: int) -> list[Pixels]:
        """One image as an evaluation sees it, then as the first epochs do, where they differ: (side, side, 3) each."""
        a, (draws, partners) = self.augmentation, ([Draw()], [Draw()])
        for epoch in range(epochs if a != Augmentation() else 0):
            mine, other = draw(a, seed, epoch, [number, number + 1])
            draws.append(mine)
            partners.append(other)
        pictures = (
            picture(self.images, number, both, a, self.preprocessing) for both in zip(draws, partners, strict=True)
        )
        return [_shown(pixels, side) for pixels, _ in pictures]


def picture(
    images: Sequence[Pixels], number: int, draws: tuple[Draw, Draw], a: Augmentation, preprocessing: Preprocessing
) -> tuple[Pixels, float]:
    """An augmented image and its share in it; the next one, by the second draw, has the rest."""
    pixels = apply(images[number % len(images)], draws[0], a, preprocessing)
    if not draws[0].mixed:
        return pixels, 1.0
    partner = apply(images[(number + 1) % len(images)], draws[1], a, preprocessing)
    return pixels, mix(pixels, partner, draws[0])


def strengths(a: Augmentation) -> str:
    """The strengths of what is on, for people."""

    def said(value: Any) -> str:
        if isinstance(value, list):
            return f"{value[0]:.3g} to {value[1]:.3g}"
        return value if isinstance(value, str) else f"{value:.3g}"

    shown = {name: value for name, value in a.to_json().items() if value and name != "pca_colours"}
    return ", ".join(f"{name} {said(value)}" for name, value in shown.items())


def _shown(pixels: Pixels, side: int) -> Pixels:
    """At the size of a tile, and in three channels; what is much smaller shows its pixels."""
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).convert("RGB")
    method = Image.Resampling.NEAREST if side >= COARSE * len(pixels) else Image.Resampling.BICUBIC
    return np.asarray(image.resize((side, side), method))

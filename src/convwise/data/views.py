"""Several views of one image: AlexNet's ten crops, or the image and its mirror image.

Source: Krizhevsky, Sutskever and Hinton (2012), section 4.1: of the central square, scaled to 256 x 256, the patches of
224 x 224 in its four corners and its centre, and their mirror images. By the rule of `preprocessing.py` the patch is
cut out of the image as it is, then resized; of an image of 256 x 256 at crop 0.875 these are the paper's to the pixel.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import UsageError, one_of
from .preprocessing import Preprocessing

Place = Literal["top left", "top right", "bottom left", "bottom right", "centre"]
PLACES: tuple[Place, ...] = ("top left", "top right", "bottom left", "bottom right", "centre")
VIEWS = ("10", "flip")
PATCH = 224 / 256  # the paper's patches, where the preprocessing itself leaves no margin


@dataclass(frozen=True)
class View:
    """One view: a preprocessing whose crop lies elsewhere, or is mirrored. "centre" is the preprocessing itself."""

    preprocessing: Preprocessing
    place: Place = "centre"
    mirrored: bool = False

    @property
    def name(self) -> str:
        """As "top left, mirrored"."""
        return self.place + (", mirrored" if self.mirrored else "")

    @property
    def plain(self) -> bool:
        """Whether it shows what a single prediction looks at."""
        return self.place == "centre" and not self.mirrored

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the pixels, (H, W, channels)."""
        return self.preprocessing.shape

    @property
    def channels(self) -> int:
        """1 or 3."""
        return self.preprocessing.channels

    def reduction(self, width: int, height: int) -> int:
        """As of the preprocessing: every patch is of one size."""
        return self.preprocessing.reduction(width, height)

    def apply(self, image: Image.Image) -> NDArray[np.uint8]:
        """Cut and resize: an "L" or "RGB" image to uint8 (resolution, resolution, channels)."""
        if self.place == "centre" or 0 in image.size:
            pixels = self.preprocessing.apply(image)
        else:
            pixels = replace(self.preprocessing, crop=1.0).apply(image.crop(self._box(*image.size)))
        return np.ascontiguousarray(pixels[:, ::-1]) if self.mirrored else pixels

    def _box(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of the patch in its corner of the central square."""
        whole = min(width, height)
        side = max(1, int(whole * self.preprocessing.crop))
        left, top = (width - whole) // 2, (height - whole) // 2
        left += whole - side if "right" in self.place else 0
        top += whole - side if "bottom" in self.place else 0
        return left, top, left + side, top + side


def views_of(preprocessing: Preprocessing, views: str) -> tuple[View, ...]:
    """List the views that "10" or "flip" stands for.

    Where the preprocessing takes the whole square, crop 1, the ten patches are 224 / 256 of it, as in the paper.

    Raises:
        UsageError: there are no such views, or the preprocessing does not crop and so has no corners.
    """
    if views not in VIEWS:
        raise one_of("views", views, VIEWS)
    if views == "flip":
        return View(preprocessing), View(preprocessing, mirrored=True)
    if preprocessing.fit != "crop":
        raise UsageError(
            "views 10 are crops, and the classifier's preprocessing takes the whole image "
            f"(fit {preprocessing.fit!r}); take views flip"
        )
    patch = preprocessing if preprocessing.crop < 1 else replace(preprocessing, crop=PATCH)
    return tuple(View(patch, place, mirrored) for mirrored in (False, True) for place in PLACES)

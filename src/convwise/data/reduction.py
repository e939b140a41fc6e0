"""From a decoded image to what augmentation starts from: the whole of it, reduced where it is larger than needed."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import UsageError
from .augmentation.record import Augmentation
from .preprocessing import Preprocessing


@dataclass(frozen=True, kw_only=True)
class Reduction:
    """Keeps the whole image; uint8 (H, W, channels) out.

    Attributes:
        channels: 1 (grey, ITU-R 601 luma) or 3 (RGB).
        side: the shorter side is reduced to this, pixels, antialiased; smaller images stay as they are.
        resize: whether to do so; otherwise a JPEG alone is decoded at 1/2, 1/4 or 1/8 while twice the side is left.
    """

    channels: int
    side: int
    resize: bool = True

    def __post_init__(self) -> None:
        """Check every field once."""
        if self.channels not in (1, 3):
            raise UsageError(f"reduction channels must be 1 or 3, got {self.channels}")
        if self.side < 1:
            raise UsageError(f"reduction side must be at least 1 pixel, got {self.side}")

    @classmethod
    def for_training(cls, preprocessing: Preprocessing, augmentation: Augmentation, *, resize: bool = True) -> Self:
        """The one under which crops of usual size have just the network's resolution, where the file has as much.

        They are the evaluation's crop; or, where crops are random, those of mean `area` in a square image, or of mean
        `zoom`. Smaller ones are enlarged: for the smallest, an image would take several times the disk.
        """
        share = preprocessing.crop if preprocessing.fit == "crop" else 1.0  # of the shorter side
        if augmentation.area is not None:
            share = math.sqrt(sum(augmentation.area) / 2)
        elif augmentation.zoom is not None:
            share = 2 / sum(augmentation.zoom)
        side = math.ceil(round(preprocessing.resolution / share, 6))
        return cls(channels=preprocessing.channels, side=side, resize=resize)

    def reduction(self, width: int, height: int) -> int:
        """Factor (1, 2, 4 or 8) by which a JPEG may be decoded smaller: at least twice the side stays."""
        return max(factor for factor in (1, 2, 4, 8) if factor == 1 or min(width, height) >= 2 * self.side * factor)

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height that an image of this size gets by `resize`.

        The sides differ by an even number, so that the middle square lies on whole pixels.
        """
        shorter = min(width, height)
        if shorter <= self.side:
            return width, height
        across, down = (self.side + 2 * round((side * self.side / shorter - self.side) / 2) for side in (width, height))
        return across, down

    def apply(self, image: Image.Image) -> NDArray[np.uint8]:
        """An "L" or "RGB" image to uint8 (H, W, channels)."""
        mode = "L" if self.channels == 1 else "RGB"
        if image.mode != mode:
            image = image.convert(mode)
        size = self.size(*image.size)
        if self.resize and size != image.size:
            image = image.resize(size, Image.Resampling.BICUBIC)
        return np.asarray(image, np.uint8).reshape(image.height, image.width, self.channels)

    def to_json(self) -> dict[str, Any]:
        """The record as plain values."""
        return asdict(self)

"""From a decoded image to the pixels a network sees: one record, applied in one place, alike everywhere.

The rule that Python, ONNX Runtime and a browser can repeat to the level: an integer centre crop first, then Pillow's
antialiased resize on uint8. Normalisation, (pixel - mean) / std per channel, belongs to the network's graph.
"""

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import DataError, UsageError

Fit = Literal["crop", "pad", "squash"]
FITS: tuple[Fit, ...] = ("crop", "pad", "squash")
INTERPOLATIONS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
DECODE_RULE = 1  # raise it when decoding.py would give other pixels for any file


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """What stands between a file's pixels and a network's input; uint8 (H, W, channels) out.

    Attributes:
        channels: 1 (grey, ITU-R 601 luma) or 3 (RGB).
        fit: "crop" takes the centre square, "pad" adds black to the shorter sides, "squash" ignores the aspect.
        crop: share of the shorter side that "crop" keeps, in (0, 1]; the other fits ignore it.
        interpolation: always antialiased.
        resolution: side of the square network input, pixels.
        mean, std: per channel, in levels of 0..255; applied inside the network's graph.
        decode_rule: version of `decoding.py`.
    """

    channels: int = 3
    resolution: int = 224
    fit: Fit = "crop"
    crop: float = 0.875
    interpolation: str = "bicubic"
    mean: tuple[float, ...] = (127.0, 127.0, 127.0)
    std: tuple[float, ...] = (128.0, 128.0, 128.0)
    decode_rule: int = DECODE_RULE

    def __post_init__(self) -> None:
        """Check every field once, so that a record that exists can be applied."""
        if self.channels not in (1, 3):
            raise UsageError(f"preprocessing channels must be 1 or 3, got {self.channels}")
        if self.fit not in FITS:
            raise UsageError(f"preprocessing fit must be one of {', '.join(FITS)}, got {self.fit!r}")
        if self.interpolation not in INTERPOLATIONS:
            allowed = ", ".join(INTERPOLATIONS)
            raise UsageError(f"preprocessing interpolation must be one of {allowed}, got {self.interpolation!r}")
        if not 0 < self.crop <= 1:
            raise UsageError(f"preprocessing crop must be a share in (0, 1], got {self.crop}")
        if self.resolution < 1:
            raise UsageError(f"preprocessing resolution must be at least 1 pixel, got {self.resolution}")
        if len(self.mean) != self.channels or len(self.std) != self.channels or min(self.std) <= 0:
            raise UsageError(
                f"preprocessing mean and std need {self.channels} numbers each, std above 0, "
                f"got {self.mean}, {self.std}"
            )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the pixels, (H, W, channels)."""
        return self.resolution, self.resolution, self.channels

    def reduction(self, width: int, height: int) -> int:
        """Factor (1, 2, 4 or 8) by which a JPEG may be decoded smaller: at least twice the resize target stays."""
        used = {"crop": min(width, height) * self.crop, "pad": max(width, height), "squash": min(width, height)}
        return max(factor for factor in (1, 2, 4, 8) if factor == 1 or used[self.fit] >= 2 * self.resolution * factor)

    def frame(self, width: int, height: int) -> tuple[float, float, float, float]:
        """The part of an image that the network sees: left, top, right, bottom in its pixels; "pad" reaches beyond."""
        sides = {"crop": (min(width, height) * self.crop,) * 2, "pad": (float(max(width, height)),) * 2}
        wide, high = sides.get(self.fit, (float(width), float(height)))
        left, top = (width - wide) / 2, (height - high) / 2
        return left, top, left + wide, top + high

    def apply(self, image: Image.Image) -> NDArray[np.uint8]:
        """Crop, pad or squash, and resize: an "L" or "RGB" image to uint8 (resolution, resolution, channels)."""
        if 0 in image.size:
            raise UsageError(f"an image must have at least one pixel, got {image.width} x {image.height}")
        target, mode = self.resolution, "L" if self.channels == 1 else "RGB"
        if image.mode != mode:
            image = image.convert(mode)
        resample = INTERPOLATIONS[self.interpolation]
        if self.fit == "crop":
            side = max(1, int(min(image.size) * self.crop))
            left, top = (image.width - side) // 2, (image.height - side) // 2
            image = image.crop((left, top, left + side, top + side)).resize((target, target), resample)
        elif self.fit == "squash":
            image = image.resize((target, target), resample)
        else:
            longest = max(image.size)
            width = max(1, image.width * target // longest)
            height = max(1, image.height * target // longest)
            canvas = Image.new(mode, (target, target))
            canvas.paste(image.resize((width, height), resample), ((target - width) // 2, (target - height) // 2))
            image = canvas
        return np.asarray(image, np.uint8).reshape(self.shape)

    def to_json(self) -> dict[str, Any]:
        """The record as plain values, for `classifier.json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Self:
        """Read what `to_json` wrote.

        Raises:
            DataError: a field is missing or unknown, or the record was made for a newer decoder.
        """
        if differing := record.keys() ^ {field.name for field in fields(cls)}:
            raise DataError(
                f"the preprocessing record cannot be read: missing or unknown {', '.join(sorted(differing))}"
            )
        try:
            made = cls(**{**record, "mean": tuple(record["mean"]), "std": tuple(record["std"])})
        except (TypeError, UsageError) as error:
            raise DataError(f"the preprocessing record cannot be read: {error}") from error
        if made.decode_rule != DECODE_RULE:
            raise DataError(
                f"the classifier decodes images by rule {made.decode_rule}, this convwise by rule {DECODE_RULE}; "
                "fit it again, or use the convwise that wrote it"
            )
        return made

"""What augmentation does to an image, as one record: the strength of every operation, each with its unit.

Sources of the usual strengths, `USUAL`: mirror, area and ratio of GoogLeNet's training; zoom of VGG's; shift of 4 in
32 pixels of ResNet's CIFAR training; brightness, contrast and saturation of fb.resnet.torch; PCA of AlexNet, section
4.1; mixup and cutmix of their ImageNet recipes; erased area of the paper on random erasing. The others are our choice.
"""

import math
from collections.abc import Collection
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self, get_args

from ...errors import UsageError, one_of

Border = Literal["reflect", "black"]
Colours = tuple[tuple[float, float, float], ...]

# In the order in which they act.
OPERATIONS = (
    "area", "zoom", "shift", "rotation", "shear", "mirror", "warp", "brightness", "contrast", "saturation", "hue",
    "channel_shift", "pca", "erasing", "mixup", "cutmix",
)  # fmt: skip
CROPS = ("area", "zoom", "shift")  # each says where the crop is: one at most
# Field -> unit, smallest and largest value.
NUMBERS: dict[str, tuple[str, float, float]] = {
    "mirror": ("a probability", 0, 1),
    "shift": ("a share of the crop's side", 0, 1),
    "rotation": ("a number of degrees", 0, 180),
    "shear": ("a number of degrees", 0, 60),
    "warp": ("a share of the side", 0, 0.1),
    "warp_nodes": ("a whole number of nodes a side", 3, 16),
    "brightness": ("a share", 0, 1),
    "contrast": ("a share", 0, 1),
    "saturation": ("a share", 0, 1),
    "hue": ("a number of degrees", 0, 180),
    "channel_shift": ("a number of levels", 0, 255),
    "pca": ("a standard deviation", 0, 1),
    "erasing": ("a probability", 0, 1),
    "mixup": ("Beta's parameter", 0, 10),
    "cutmix": ("Beta's parameter", 0, 10),
}
STEEPEST = 0.24  # warp times nodes; neighbours at opposite ends slope 4.11 times that, and at 1 the image folds
RANGES: dict[str, tuple[str, float, float]] = {
    "area": ("shares of the image's area", 0.001, 1),
    "ratio": ("width over height", 0.1, 10),
    "zoom": ("the image's shorter side in sides of the crop", 1, 100),
    "erased_area": ("shares of the image's area", 0.001, 1),
}

# Field -> operations of which one must be on for it to do anything.
NEEDS = {
    "ratio": ("area",), "warp_nodes": ("warp",), "pca_colours": ("pca",), "erased_area": ("erasing",),
    "border": ("shift", "rotation", "shear", "warp"),
}  # fmt: skip
GREY_KEEPS = ("saturation", "hue")  # operations that leave grey images as they are

# Field -> strength when an operation is asked for by its name alone.
USUAL: dict[str, Any] = {
    "area": (0.08, 1.0), "zoom": (256 / 224, 512 / 224), "shift": 0.125, "rotation": 15.0, "shear": 10.0, "mirror": 0.5,
    "warp": 0.03, "brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 18.0, "channel_shift": 20.0, "pca": 0.1,
    "erasing": 0.25, "mixup": 0.2, "cutmix": 1.0,
}  # fmt: skip

# AlexNet's as fb.resnet.torch prints them: eigenvalues of the covariance of RGB in 0..1, here times 255, and their
# eigenvectors. The squares of levels in 0..255 would give eigenvalues 255 times as large, and other colours entirely.
ALEXNET_EIGENVALUES = (0.2175, 0.0188, 0.0045)
ALEXNET_VECTORS = ((-0.5675, -0.5808, -0.5836), (0.7192, -0.0045, -0.6948), (0.4009, -0.8140, 0.4203))
ALEXNET_COLOURS: Colours = tuple(
    (255 * value * r, 255 * value * g, 255 * value * b)
    for value, (r, g, b) in zip(ALEXNET_EIGENVALUES, ALEXNET_VECTORS, strict=True)
)


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """How strong each operation is; the defaults do nothing.

    Attributes:
        mirror: probability of left and right exchanged.
        area: smallest and largest share of the image that a crop takes; None leaves the crop of the evaluation.
        ratio: smallest and largest width over height of such a crop; its logarithm is uniform. A crop that is
            larger than the image along one side is made smaller along both.
        zoom: a square crop, of which the image's shorter side has so many sides, from smallest to largest, uniform: the
            papers' jitter of scale, where the shorter side is 256 to 512 pixels and the crop 224.
        shift: the crop of the evaluation moves by up to this share of its side, in whole pixels, each way.
        rotation: up to so many degrees, each way.
        shear: leans by up to so many degrees to the left or right.
        warp: largest displacement of a node of the grid, share of the side; smooth in between.
        warp_nodes: of that grid, a side; the more, the more local.
        border: what is seen beyond the image, "reflect" or "black"; always black where the evaluation pads.
        brightness: levels are multiplied by a factor from 1 - b to 1 + b.
        contrast: the distance from the image's own mean luma is; 1 - c to 1 + c.
        saturation: the distance from the pixel's own luma is; 1 - s to 1 + s.
        hue: rotation about the grey axis of RGB by up to so many degrees; not the hue of HSV, whose luma jumps.
        channel_shift: R, G and B each move by up to so many levels of 0..255.
        pca: standard deviation of the weights of `pca_colours`, which are then added.
        pca_colours: three colours in levels: eigenvalues (of RGB in 0..1) times 255 times eigenvectors, AlexNet's
            unless others are given; "own": those of the images that are trained on, whole ones, see `with_own_colours`.
        erasing: probability that a rectangle becomes the mean of the preprocessing.
        erased_area: smallest and largest share of the image that is erased.
        mixup: parameter of the Beta distribution of each image's share in the mean of two images.
        cutmix: the same for a rectangle of another image. With mixup beside it, each takes half of the images.
    """

    mirror: float = 0.0
    area: tuple[float, float] | None = None
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    zoom: tuple[float, float] | None = None
    shift: float = 0.0
    rotation: float = 0.0
    shear: float = 0.0
    warp: float = 0.0
    warp_nodes: int = 5
    border: Border = "reflect"
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    channel_shift: float = 0.0
    pca: float = 0.0
    pca_colours: Colours | Literal["own"] = ALEXNET_COLOURS
    erasing: float = 0.0
    erased_area: tuple[float, float] = (0.02, 1 / 3)
    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        """Check every field once, so that a record that exists can be drawn from."""
        for name, (unit, low, high) in NUMBERS.items():
            value = getattr(self, name)
            whole = name != "warp_nodes" or isinstance(value, int)
            if not (_is_number(value) and whole and low <= value <= high):
                raise UsageError(f"augmentation {name} must be {unit} in [{low:g}, {high:g}], got {value!r}")
        for name, limits in RANGES.items():
            if getattr(self, name) is not None:
                _check_range(name, getattr(self, name), limits)
        if self.border not in get_args(Border):
            raise one_of("augmentation border", str(self.border), get_args(Border))
        if self.pca_colours != "own" and not _is_matrix(self.pca_colours):
            raise UsageError(
                "augmentation pca_colours must be 'own' or 3 colours of 3 levels in [-255, 255], "
                f"got {self.pca_colours!r}"
            )
        crops = [name for name in CROPS if getattr(self, name)]
        if len(crops) > 1:
            raise UsageError(
                f"augmentation {' and '.join(crops)} each say where the crop is; set one of area, zoom and shift"
            )
        if self.warp * self.warp_nodes > STEEPEST:
            raise UsageError(
                f"augmentation warp must be at most {STEEPEST / self.warp_nodes:.3g} with {self.warp_nodes} nodes a "
                f"side, so that no image folds over, got {self.warp}"
            )
        self._check_effect([field.name for field in fields(self) if getattr(self, field.name) != field.default])

    @property
    def mixes(self) -> bool:
        """Whether an image can become a mixture of two."""
        return self.mixup > 0 or self.cutmix > 0

    @classmethod
    def usual(cls, *operations: str) -> Self:
        """Take the usual strength of the operations named.

        Raises:
            UsageError: there is no such operation.
        """
        for name in operations:
            if name not in OPERATIONS:
                raise one_of("augmentation operation", name, OPERATIONS)
        return cls(**{name: USUAL[name] for name in operations})

    def to_json(self) -> dict[str, Any]:
        """The record as plain values for JSON or TOML, without what is None or has no effect."""
        return {
            name: _plain(value) for name, value in asdict(self).items() if value is not None and self._has_effect(name)
        }

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Self:
        """Read what `to_json` wrote, or what a user wrote in its manner: what is left out is off.

        Raises:
            UsageError: an unknown name, a value that its field cannot have, or one without effect.
        """
        names = [field.name for field in fields(cls)]
        for name in record:
            if name not in names:
                raise one_of("augmentation field", name, names)
        found = cls(**{name: _frozen(value) for name, value in record.items()})
        found._check_effect(record)
        return found

    def _has_effect(self, name: str) -> bool:
        return name not in NEEDS or any(getattr(self, needed) for needed in NEEDS[name])

    def _check_effect(self, given: Collection[str]) -> None:
        """Refuse what somebody has given for operations that are off."""
        for name in given:
            if not self._has_effect(name):
                raise UsageError(f"augmentation {name} has no effect without {' or '.join(NEEDS[name])}; leave it out")


def _check_range(name: str, value: Any, limits: tuple[str, float, float]) -> None:
    unit, low, high = limits
    two = isinstance(value, tuple) and len(value) == 2 and all(map(_is_number, value))
    if not (two and low <= value[0] <= value[1] <= high):
        raise UsageError(
            f"augmentation {name} must be two numbers, {unit}, rising within [{low:g}, {high:g}], got {value!r}"
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_matrix(value: Any) -> bool:
    def is_colour(row: Any) -> bool:
        return isinstance(row, tuple) and len(row) == 3 and all(_is_number(v) and abs(v) <= 255 for v in row)

    return isinstance(value, tuple) and len(value) == 3 and all(map(is_colour, value))


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list | tuple) else value

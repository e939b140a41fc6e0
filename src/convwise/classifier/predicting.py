"""What a classifier can do: answer for images, and become a network in torch again."""

import os
from collections.abc import Generator, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..data import decoding
from ..data.preprocessing import Preprocessing
from ..data.provenance import Provenance
from ..data.threads import map_in_order, usable_cpus
from ..errors import UsageError
from ..metrics import softmax
from ..runtime.session import FrozenNetwork

if TYPE_CHECKING:
    from torch import nn

ImageInput = str | os.PathLike[str] | Image.Image | NDArray[np.uint8]


@dataclass(frozen=True)
class Prediction:
    """What a classifier says of one image.

    Attributes:
        path: of the file; empty for an image from memory.
        label: the likeliest class; empty when there is an error.
        prob: of `label`, in [0, 1].
        probs: class -> probability, in the classifier's order.
        error: why there is no answer; empty when there is one.
    """

    path: str
    label: str = ""
    prob: float = 0.0
    probs: dict[str, float] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class Classifier:
    """A classifier that was loaded from its folder.

    Attributes:
        folder: where it is.
        network: name in `convwise.networks`.
        arguments: of its builder, without the number of classes.
        cut, rear: where layers of the user's stand, and their `module:builder`; None where all is the network's own.
        classes: names, in the order of the logits.
        temperature: the logits are divided by it.
        params, macs, weight_bytes: what it costs, one image.
    """

    folder: Path
    network: str
    arguments: Mapping[str, Any]
    cut: str | None
    rear: str | None
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    temperature: float
    params: int
    macs: int
    weight_bytes: int
    provenance: Provenance
    sha256: Mapping[str, str]

    @cached_property
    def frozen(self) -> FrozenNetwork:
        """The graph, ready to run; one thread a call, any number of calls at once."""
        return FrozenNetwork(self.folder / "network.onnx")

    def logits(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Prepared pixels, uint8 (B, H, W, C), to logits (B, K), before the temperature."""
        return self.frozen.run(pixels, ["logits"])[0]

    def probs(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """(B, K) to probabilities (B, K), through the temperature."""
        return softmax(logits / np.float32(self.temperature))

    def predict(self, images: ImageInput | Iterable[ImageInput], *, threads: int | None = None) -> list[Prediction]:
        """Classify images; a file that cannot be used gives a prediction with `error`.

        Args:
            images: one or several of: path, PIL image, uint8 array (H, W), (H, W, 1) or (H, W, 3) in RGB.
            threads: images at once; None takes one a processor.
        """
        return list(self.predict_iter(images, threads=threads))

    def predict_iter(
        self, images: ImageInput | Iterable[ImageInput], *, threads: int | None = None
    ) -> Generator[Prediction, None, None]:
        """Classify a stream of images, in order, a few at a time, so that memory stays flat. Arguments as `predict`."""
        if isinstance(images, str | os.PathLike | Image.Image | np.ndarray):
            images = [images]
        return map_in_order(self._predict_one, images, threads or usable_cpus())

    def build(self) -> "nn.Module":
        """Build the network with random weights.

        Raises:
            UsageError: layers of the user's, whose module must be there to train on, cannot be built.
        """
        from .in_torch import build

        return build(self)

    def guarded(self) -> AbstractContextManager[None]:
        """Around running it in torch, where layers of it are the user's."""
        from ..guest import guarding

        return nullcontext() if self.rear is None else guarding(self.rear)

    def to_torch(self) -> "nn.Module":
        """Build the network with its weights, in evaluation mode; it takes (pixels - mean) / std, (B, C, H, W).

        Raises:
            UsageError: as `build`.
            DataError: the layers of the user's are no longer those that were trained.
        """
        from .in_torch import with_weights

        return with_weights(self)

    def _predict_one(self, image: object) -> Prediction:
        path = os.fspath(image) if isinstance(image, str | os.PathLike) else ""
        if not isinstance(image, str | os.PathLike | Image.Image | np.ndarray):
            kind = type(image).__name__
            raise UsageError(f"an image must be a path, a PIL image or a uint8 array, got {kind}")
        try:
            pixels = self._pixels(image)
        except OSError as error:
            return Prediction(path, error=f"cannot be read: {error.strerror or error}")
        except decoding.UnreadableImageError as error:
            return Prediction(path, error=str(error))
        probs = self.probs(self.logits(pixels[None]))[0]
        best = int(probs.argmax())
        by_class = dict(zip(self.classes, map(float, probs), strict=True))
        return Prediction(path, self.classes[best], float(probs[best]), by_class)

    def _pixels(self, image: ImageInput) -> NDArray[np.uint8]:
        if isinstance(image, str | os.PathLike):
            return decoding.decode(decoding.read(image), [self.preprocessing]).pixels[0]
        if isinstance(image, np.ndarray):
            if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.shape[2:] not in ((), (1,), (3,)):
                shape = f"{image.dtype} {image.shape}"
                raise decoding.UnreadableImageError(f"an array must be uint8 (H, W) or (H, W, 3), got {shape}")
            image = Image.fromarray(image[:, :, 0] if image.shape[2:] == (1,) else image)
        return decoding.prepare(image, self.preprocessing)

"""Where in an image a classifier found its class: class activation maps, exact where the head allows it.

Where the head is the mean over the positions of the last feature map, then a linear layer, the logit of class k is a
sum over positions p:  logit_k = sum_p (w_k . a_p / P + b_k / P).  Its terms are the map: it sums to the logit, and a
position that is positive speaks for the class. The layer's weights carry the standardisation of the features, so the
bias holds what an average image would give; spread over the map, it puts zero where a position says nothing. This is
the map of Zhou et al. (2016), section 2, with its bias; the graph hands the feature map out, torch is not needed.

Otherwise the map is Grad-CAM (Selvaraju et al., 2017, section 3): the feature map weighted by the mean gradients of
the logit, negative values cut off. It runs the network in torch, and it sums to nothing in particular. Where the head
is pool and linear, the two agree but for the bias and the cut.
"""

import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..classifier import Classifier, Prediction
from ..data import decoding
from ..data.threads import map_in_order
from ..errors import MachineError
from ..networks.drawing import drawn_apart
from ..runtime.session import TOLERANCE, relative_error
from .overlay import overlay

if TYPE_CHECKING:
    from torch import nn

Floats = NDArray[np.float32]

SIDE = 640  # pixels of a picture on disk, at most


class HeatMap(NamedTuple):
    """What each position of the last feature map says for a class: (H, W).

    `exact` maps sum to the class's logit; the others (Grad-CAM) are not negative and have no unit.
    """

    values: Floats
    exact: bool

    @property
    def heat(self) -> Floats:
        """What speaks for the class, (H, W) as shares of the strongest position; all 0 where nothing does."""
        positive: Floats = self.values.clip(min=0)
        return positive / positive.max() if positive.any() else positive


class HeatMaps:
    """Makes the maps of one classifier; may be used from many threads at once."""

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier
        self._lock = threading.Lock()

    def of(self, pixels: NDArray[np.uint8], label: int) -> HeatMap:
        """Map one image, prepared pixels (H, W, C), for the class with this index."""
        logits, maps = self.classifier.frozen.run(pixels[None], ["logits", "feature_map"])
        return self._exact(logits[0], maps[0], label) or HeatMap(self._grad_cam(pixels, label), exact=False)

    def picture(self, data: bytes, label: int, side: int = SIDE) -> Image.Image:
        """Draw an image file's bytes with the heat of a class over it, at most `side` pixels a side.

        Raises:
            UnreadableImageError: as `decoding.decode`.
        """
        pixels = decoding.decode(data, [self.classifier.preprocessing]).pixels[0]
        return overlay(decoding.small(data, side), self.of(pixels, label).heat, self.classifier.preprocessing)

    def _exact(self, logits: Floats, maps: Floats, label: int) -> HeatMap | None:
        """The terms of the logit; None where they are not: the head does more than pool and multiply."""
        layer = self._last_layer
        if layer is None or maps.ndim != 3 or maps.shape[0] != layer[0].shape[1]:
            return None
        weight, bias = layer
        told = weight @ maps.mean(axis=(1, 2)) + bias
        if not relative_error(told, logits) <= TOLERANCE:
            return None
        terms = np.tensordot(weight[label], maps, 1) + bias[label]
        return HeatMap(terms / np.float32(maps[0].size), exact=True)

    @cached_property
    def _last_layer(self) -> tuple[Floats, Floats] | None:
        """Weight (K, width) and bias (K,) of `head[-1]`, read without torch; None where it is no linear layer."""
        from safetensors import safe_open

        with safe_open(self.classifier.folder / "weights.safetensors", framework="numpy") as file:
            names = {name for name in file.keys() if name.startswith("head.")}  # noqa: SIM118, no mapping
            linear = [n for n in names if n.endswith(".weight") and f"{n.removesuffix('weight')}bias" in names]
            if not linear:
                return None
            last = max(linear, key=lambda name: int(name.split(".")[1])).removesuffix("weight")
            weight, bias = file.get_tensor(f"{last}weight"), file.get_tensor(f"{last}bias")
        return (weight, bias) if weight.shape == (len(self.classifier.classes), *weight.shape[1:2]) else None

    def _grad_cam(self, pixels: NDArray[np.uint8], label: int) -> Floats:
        import torch
        from torch import nn

        from .. import networks

        # the modules would keep one another's gradients
        with self._lock, self.classifier.guarded():
            preprocessing = self.classifier.preprocessing
            mean, std = torch.tensor(preprocessing.mean), torch.tensor(preprocessing.std)
            x = ((torch.tensor(pixels).float() - mean) / std).permute(2, 0, 1)[None]
            parts = [part for _, part in networks.parts(self._network)]
            with torch.no_grad():
                seen = [x]
                for part in parts[:-2]:
                    seen.append(part(seen[-1]))
            # LeNet-5's last map has one position, which cannot say where: the last with more than one is taken
            last = max(i for i, value in enumerate(seen) if value.shape[2:].numel() > 1 or i == 0)
            maps = seen[last].requires_grad_()
            with torch.enable_grad():
                logits = nn.Sequential(*parts[last:])(maps)
                (gradient,) = torch.autograd.grad(logits[0, label], maps)
            cam = (gradient.mean(dim=(2, 3), keepdim=True) * maps.detach()).sum(dim=1)[0]
            values: Floats = cam.clamp(min=0).numpy()
            return values

    @cached_property
    def _network(self) -> "nn.Module":
        with drawn_apart():
            return self.classifier.to_torch().requires_grad_(requires_grad=False)


def draw(
    classifier: Classifier, predictions: Iterable[Prediction], folder: Path, *, threads: int
) -> Iterator[tuple[Prediction, Path | None]]:
    """Draw the heat map of each prediction's own class into a folder, as `<name of the photo>.png`.

    Args:
        classifier: that predicted.
        predictions: of files; one with an error gets no picture.
        folder: is there; a second photo of the same name becomes `<name>-2.png`.
        threads: pictures at once.

    Raises:
        MachineError: a picture cannot be written.
    """
    maps, taken = HeatMaps(classifier), set[str]()

    def named() -> Iterator[tuple[Prediction, Path | None]]:
        for prediction in predictions:
            yield prediction, None if prediction.error else folder / _free_name(prediction.path, taken)

    def one(item: tuple[Prediction, Path | None]) -> tuple[Prediction, Path | None]:
        prediction, path = item
        if path is None:
            return item
        try:
            data = decoding.read(prediction.path)
            picture = maps.picture(data, classifier.classes.index(prediction.label))
        except (OSError, decoding.UnreadableImageError) as error:  # it went away or changed since it was classified
            return replace(prediction, error=f"no heat map: {error}"), None
        try:
            picture.save(path, compress_level=4)
        except OSError as error:
            raise MachineError(
                f"heat map {str(path)!r} could not be written: {error.strerror or error}; those before it stay. "
                "Free some space, or name a folder elsewhere"
            ) from error
        return prediction, path

    return map_in_order(one, named(), threads)


def _free_name(path: str, taken: set[str]) -> str:
    """`<stem>.png`, numbered where it is taken; some disks do not tell "A.png" from "a.png"."""
    stem, number = Path(path).stem, 1
    name = f"{stem}.png"
    while name.casefold() in taken:
        number += 1
        name = f"{stem}-{number}.png"
    taken.add(name.casefold())
    return name

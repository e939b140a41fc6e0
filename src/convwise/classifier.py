"""A classifier: network, preprocessing and class names in one folder, which predicts without torch.

classifier.json        what it is, with the sha256 of everything
weights.safetensors    to train on
network.onnx           to predict with: uint8 (B, H, W, C) in; logits and feature_map out
"""

import hashlib
import json
import os
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .cost import Totals
from .data import decoding
from .data.preprocessing import Preprocessing
from .data.provenance import Provenance
from .data.threads import map_in_order, usable_cpus
from .errors import DataError, UsageError
from .metrics import softmax
from .places import sha256_of
from .runtime.cache import write_aside
from .runtime.session import TOLERANCE, FrozenNetwork, relative_error

if TYPE_CHECKING:
    from torch import nn

SCHEMA_VERSION = 1

ImageInput = str | os.PathLike[str] | Image.Image | NDArray[np.uint8]


class Architecture(NamedTuple):
    """How a network is built.

    Attributes:
        name: in `convwise.networks`.
        arguments: of its builder, without the number of classes.
        cut: behind which the user's own layers stand; None where all is the network's own.
        rear: `module:builder` of these layers.
    """

    name: str
    arguments: Mapping[str, Any]
    cut: str | None = None
    rear: str | None = None


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
        from . import networks

        if self.rear is None or self.cut is None:
            return networks.create(self.network, len(self.classes), self.arguments)
        from .guest import build_rear
        from .networks.cutting import shape_at, with_rear

        network = networks.create(self.network, 2, self.arguments)
        height, width, channels = self.preprocessing.shape
        shape = shape_at(network, self.cut, (channels, height, width))
        try:
            rear = build_rear(self.rear, shape, len(self.classes))
        except UsageError as error:
            raise UsageError(
                f"classifier {str(self.folder)!r} ends in layers of its own, which torch needs and `predict` does not: "
                f"{error}"
            ) from error
        return with_rear(network, self.cut, rear)

    def guarded(self) -> AbstractContextManager[None]:
        """Around running it in torch, where layers of it are the user's."""
        from .guest import guarding

        return nullcontext() if self.rear is None else guarding(self.rear)

    def to_torch(self) -> "nn.Module":
        """Build the network with its weights, in evaluation mode; it takes (pixels - mean) / std, (B, C, H, W).

        Raises:
            UsageError: as `build`.
            DataError: the layers of the user's are no longer those that were trained.
        """
        from safetensors.torch import load_file

        network, state = self.build().eval(), load_file(self.folder / "weights.safetensors")
        shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
        same = self.rear is None or shapes == {name: tensor.shape for name, tensor in state.items()}
        if same:
            network.load_state_dict(state)
        if not same or (self.rear is not None and not self._agrees(network)):
            raise DataError(
                f"classifier {str(self.folder)!r} was trained with other layers than {self.rear!r} builds now; restore "
                "that module, or fit again"
            )
        return network

    def _agrees(self, network: "nn.Module") -> bool:
        """Whether a network gives what the graph gives of an image of noise, which layers of the user's may not."""
        import torch

        pixels = np.random.default_rng(0).integers(0, 256, (1, *self.preprocessing.shape), np.uint8)
        expected = self.logits(pixels)
        mean, std = (torch.tensor(levels) for levels in (self.preprocessing.mean, self.preprocessing.std))
        with self.guarded(), torch.no_grad():
            got = network(((torch.from_numpy(pixels).float() - mean) / std).permute(0, 3, 1, 2)).numpy()
        return relative_error(got, expected) <= TOLERANCE

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


def save(
    folder: Path, *, network: Architecture, classes: Sequence[str], preprocessing: Preprocessing, cost: Totals,
    provenance: Provenance, weights: bytes, graph: bytes, temperature: float = 1.0,
) -> Classifier:  # fmt: skip
    """Write a classifier into a new folder and load it.

    Args:
        folder: is made; the caller writes aside and renames.
        network: how it is built.
        classes: in the order of the logits.
        preprocessing: with mean and std.
        cost: of one image.
        provenance: where it comes from.
        weights: the state dict as safetensors.
        graph: the ONNX graph, uint8 (B, H, W, C) to `logits` and `feature_map`.
        temperature: the logits are divided by it.
    """
    folder.mkdir(parents=True)
    files = {"weights.safetensors": weights, "network.onnx": graph}
    for name, data in files.items():
        write_aside(folder / name, data)
    record: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "network": network._asdict() | {"arguments": dict(network.arguments)},
        "classes": list(classes),
        "preprocessing": preprocessing.to_json(),
        "temperature": temperature,
        "cost": cost._asdict(),
        "provenance": provenance.to_json(),
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
    }
    record["sha256"]["classifier.json"] = _own_sha256(record)
    text = json.dumps(record, indent=1, ensure_ascii=True)
    write_aside(folder / "classifier.json", text.encode())
    return load(folder)


def load(path: str | os.PathLike[str]) -> Classifier:
    """Load a classifier, or the one in a run's folder, and check that not a byte has changed.

    Raises:
        DataError: nothing there, a file missing or changed, or made by a newer convwise.
    """
    folder = Path(path)
    if os.path.isfile(folder / "classifier" / "classifier.json"):
        folder = folder / "classifier"
    file = folder / "classifier.json"
    if not os.path.isfile(file):
        there = "is a file" if os.path.isfile(folder) else "does not exist"
        what = "has no classifier.json" if os.path.isdir(folder) else there
        raise DataError(f"classifier {str(path)!r} {what}; give the folder of a run, or its classifier folder")
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        version, sha256 = record["schema_version"], dict(record["sha256"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"classifier {str(file)!r} is damaged: {error}; restore the folder, or fit again") from error
    if version != SCHEMA_VERSION:
        raise DataError(
            f"classifier {str(folder)!r} has schema version {version}, this convwise reads {SCHEMA_VERSION}; "
            "use the convwise that wrote it, or a newer one"
        )
    _check_files(folder, record, sha256)
    try:
        return _from_record(folder, record)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"classifier {str(file)!r} lacks or misstates {error}; fit again") from error


def _check_files(folder: Path, record: dict[str, Any], sha256: Mapping[str, str]) -> None:
    for name in ("classifier.json", "network.onnx", "weights.safetensors"):
        try:
            found = _own_sha256(record) if name == "classifier.json" else sha256_of(folder / name)
        except OSError as error:
            raise DataError(f"classifier {str(folder)!r}: {name} cannot be read: {error.strerror}") from error
        if found != sha256.get(name):
            raise DataError(
                f"classifier {str(folder)!r}: {name} was changed since it was saved (its sha256 differs); "
                "restore the folder, or fit again"
            )


def _from_record(folder: Path, record: dict[str, Any]) -> Classifier:
    return Classifier(
        folder=folder,
        network=record["network"]["name"],
        arguments=record["network"]["arguments"],
        cut=record["network"]["cut"],
        rear=record["network"].get("rear"),
        classes=tuple(record["classes"]),
        preprocessing=Preprocessing.from_json(record["preprocessing"]),
        temperature=float(record["temperature"]),
        provenance=Provenance.from_json(record["provenance"]),
        sha256=record["sha256"],
        **record["cost"],
    )


def _own_sha256(record: dict[str, Any]) -> str:
    """Hash of the record without its own hash."""
    files = {name: value for name, value in record["sha256"].items() if name != "classifier.json"}
    return hashlib.sha256(json.dumps(record | {"sha256": files}, sort_keys=True).encode()).hexdigest()

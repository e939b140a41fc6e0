"""A classifier on disk: written, and read again where not a byte has changed.

classifier.json        what it is, with the sha256 of everything
weights.safetensors    to train on
network.onnx           to predict with: uint8 (B, H, W, C) in; logits and feature_map out
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ..cost import Totals
from ..data.preprocessing import Preprocessing
from ..data.provenance import Provenance
from ..errors import DataError
from ..places import sha256_of
from ..runtime.cache import write_aside
from .predicting import Classifier

SCHEMA_VERSION = 1


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


class Artefacts(NamedTuple):
    """The trained network, twice.

    Attributes:
        weights: the state dict as safetensors.
        graph: the ONNX graph, uint8 (B, H, W, C) to `logits` and `feature_map`.
    """

    weights: bytes
    graph: bytes


def save(
    folder: Path, *, network: Architecture, classes: Sequence[str], preprocessing: Preprocessing, cost: Totals,
    provenance: Provenance, artefacts: Artefacts, temperature: float = 1.0,
) -> Classifier:  # fmt: skip
    """Write a classifier into a new folder and load it.

    Args:
        folder: is made; the caller writes aside and renames.
        network: how it is built.
        classes: in the order of the logits.
        preprocessing: with mean and std.
        cost: of one image.
        provenance: where it comes from.
        artefacts: what was trained.
        temperature: the logits are divided by it.
    """
    folder.mkdir(parents=True)
    files = {"weights.safetensors": artefacts.weights, "network.onnx": artefacts.graph}
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

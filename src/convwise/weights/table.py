"""All published weights that convwise knows of, and how one of them is found."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path

from .. import networks
from ..errors import DataError, UsageError, one_of
from . import pypi_files, timm_files, torchvision_files
from .naming import Naming
from .published import Published
from .store import Given
from .tensors import opened
from .timm_names import TIMM
from .torchvision_names import TORCHVISION

# The first of a network is its default: what is installed, else torchvision's first recipe, which is the plainest and
# the best documented, else timm's.
PUBLISHED = (*pypi_files.PUBLISHED, *torchvision_files.PUBLISHED, *timm_files.PUBLISHED)
OURS = "convwise"  # whose names need no change
SUFFIXES = (".bin", ".pt", ".pth", ".safetensors", ".th")  # of files, there or not; no id ends so
NAMINGS: dict[str, Mapping[str, Naming]] = {"pypi": pypi_files.PYPI, "torchvision": TORCHVISION, "timm": TIMM}


def published(network: str) -> Published | None:
    """The weights of a network that are taken where none are named; None where nobody published any.

    Raises:
        UsageError: there is no such network.
    """
    return next(iter(all_published(network)), None)


def all_published(network: str) -> tuple[Published, ...]:
    """All weights of a network, the default first.

    Raises:
        UsageError: there is no such network.
    """
    networks.describe(network)
    return tuple(weights for weights in PUBLISHED if weights.network == network)


def find(network: str, id: str) -> Published:  # noqa: A002
    """The weights of a network that have this id, such as "torchvision/IMAGENET1K_V1".

    Raises:
        UsageError: there is no such network, or it has no such weights.
    """
    by_id = {weights.id: weights for weights in all_published(network)}
    if not by_id:
        raise UsageError(without_weights(network))
    if id not in by_id:
        raise one_of(f"weights of {network}", id, by_id)
    return by_id[id]


def by_hash(sha256: str) -> Published | None:
    """The weights whose file has this SHA-256; None where it is of no file, or of one whose hash is not published."""
    return next((weights for weights in PUBLISHED if weights.sha256 and sha256.startswith(weights.sha256)), None)


def is_file(network: str, weights: str) -> bool:
    """Whether a caller who writes `weights` means a file rather than an id."""
    known = any(row.id == weights for row in all_published(network))
    return not known and (weights.endswith(SUFFIXES) or os.path.exists(weights))


def given(network: str, path: Path) -> Published:
    """The published weights of a network that a file holds, wherever it lies; their hash tells them.

    Raises:
        DataError: the file is absent, or holds others.
    """
    with opened(path) as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    found = by_hash(sha256)
    if found is None or found.network != network:
        others = f"those of {found.network}, {found.id}" if found else f"no published ones (its sha256 is {sha256})"
        raise DataError(
            f"weights file {str(path)!r} must hold published weights of {network}, got {others}; only of published "
            "ones is known what they expect of an image. Give their id or file, of docs/weights.md"
        )
    return replace(found, origin=Given(path))


def without_weights(network: str) -> str:
    """Say that a network has no weights, and which variants of it have."""
    module = networks.describe(network).module
    variants = dict.fromkeys(w.network for w in PUBLISHED if networks.describe(w.network).module == module)
    hint = f"; there are some of {', '.join(variants)}" if variants else ""
    return f"nobody has published weights of {network} that convwise knows of{hint}"


def naming(publisher: str, network: str) -> Naming:
    """How a publisher, or convwise itself, names the layers of a network that it has published."""
    if publisher == OURS:
        return Naming(lambda layers: {layer: layer for layer in layers}, optional=("aux_heads.",))
    return NAMINGS[publisher][networks.describe(network).module]


def forms(publisher: str, network: str) -> list[dict[str, object]]:
    """Arguments of our builder that give the network as a publisher has it; several where it has several."""
    if publisher == OURS:
        return _own_forms(network)
    if publisher == "timm":
        return [arguments for ours, arguments in timm_files.MODELS.values() if ours == network]
    return [dict(weights.arguments) for weights in all_published(network) if weights.publisher == publisher][:1]


def publishers(network: str) -> list[str]:
    """Those whose names a file of this network may have, ours first."""
    return [OURS, *(publisher for publisher in NAMINGS if forms(publisher, network))]


def defaults(network: str) -> dict[str, object]:
    """What the builder of a network takes where a caller says nothing."""
    entry = networks.describe(network)
    return {name: argument.default for name, argument in entry.arguments.items()} | dict(entry.fixed)


def _own_forms(network: str) -> list[dict[str, object]]:
    """Every form that a network built by us may have, in what published weights of it need; the default first."""
    usual, rows = defaults(network), all_published(network)
    names = dict.fromkeys(name for row in rows for name in row.arguments)
    values = [dict.fromkeys([usual[name], *(row.arguments.get(name, usual[name]) for row in rows)]) for name in names]
    return [dict(zip(names, chosen, strict=True)) for chosen in product(*values)]

"""Networks with weights: published ones by id, or those of a local file."""

import logging
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from .. import networks
from ..errors import UsageError
from ..progress import Track, silent
from . import local
from .filling import blank, classes_of, fill
from .published import Published
from .table import find, is_file, naming, published, without_weights
from .tensors import Loaded, read

if TYPE_CHECKING:
    from torch import Tensor, nn

log = logging.getLogger("convwise")


def network(
    name: str, num_classes: int | None = None, weights: bool | str | os.PathLike[str] | None = None, *,
    arguments: Mapping[str, object] | None = None, offline: bool = False, track: Track = silent,
) -> "nn.Module":  # fmt: skip
    """Build a network, with weights or without.

    With weights, a `num_classes` other than theirs replaces `head[-1]` alone (and the last layers of auxiliary heads)
    by a fresh layer, and the logger "convwise" warns of it; `arguments={"in_channels": 1}` sums the first kernel over
    the colours, so that one channel gives what three equal ones give. Neither the weights nor the network normalise:
    `weights.find(name, id).preprocessing` says what they expect of an image, and `weights.find(name, id).grey()` what
    the network of one channel expects of a grey one.

    Args:
        name: one of `networks.names()`.
        num_classes: length of the logits; None for that of the weights, else of the paper's data set.
        weights: None for a fresh network; True for the default, `weights.published(name)`; an id out of
            `weights.all_published(name)`; or a file whose tensors have our names, torchvision's or timm's.
        arguments: further arguments of the builder; those that published weights need are known, those of a file where
            its tensors or its metadata show them.
        offline: load nothing from the web; the environment variable CONVWISE_OFFLINE=1 says the same.
        track: shows progress of a download, in megabytes.

    Returns:
        The network, in evaluation mode where it has weights, in training mode where it is fresh.

    Raises:
        UsageError: no such network, argument or weights; or they do not go together.
        DataError: the file is absent, unusable, or of another network.
        MachineError: network or disk gave out.
    """
    if weights is None or weights is False:
        return networks.create(name, num_classes, arguments)
    given = networks.checked_arguments(name, arguments)
    if num_classes is not None:
        networks.check_classes(num_classes)
    source = _source(name, weights)
    if isinstance(source, Published):
        needed = source.merge(given)
        built = fill(name, needed, _load(source, needed, offline=offline, track=track).state, str(source))
    else:
        state, needed = local.match(source, name, given)
        built = fill(name, needed, state, f"the weights in {str(source)!r}")
    found = classes_of(built)
    if num_classes is not None and num_classes != found:
        networks.replace_head(built, num_classes)
        log.warning(
            "%s: a fresh last layer for %d classes replaces that of the weights for %s", name, num_classes, found
        )
    return built.eval()


def load(weights: Published, *, offline: bool = False, track: Track = silent) -> "dict[str, Tensor]":
    """Read published weights under our names, on the CPU, ready for `load_state_dict`.

    Args:
        weights: of a network built with their `num_classes` and `arguments`.
        offline: load nothing from the web; the environment variable CONVWISE_OFFLINE=1 says the same.
        track: shows progress of a download, in megabytes.

    Raises:
        DataError: the file is absent, or is not the one that was published.
        MachineError: network or disk gave out.
    """
    return load_with_hash(weights, offline=offline, track=track).state


def load_with_hash(weights: Published, *, offline: bool = False, track: Track = silent) -> Loaded:
    """The same, with the SHA-256 of the file that was read."""
    return _load(weights, weights.arguments, offline=offline, track=track)


def to_theirs(weights: Published, state: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
    """Rename the tensors of our network to a publisher's names: what the publisher's own network loads.

    Args:
        weights: any that the publisher has for that network.
        state: state dict of our network, for any number of classes.

    Raises:
        DataError: a name is missing or unknown.
    """
    aux = any(name.startswith("aux_heads.") for name in state)
    names = blank(weights.network, {**weights.arguments, **({"aux": True} if aux else {})}).state_dict()
    what = f"the tensors given for {weights.network}"
    return naming(weights.publisher, weights.network).to_theirs(state, names, what)


def _load(weights: Published, arguments: Mapping[str, object], *, offline: bool, track: Track) -> Loaded:
    path = weights.locate(offline=offline, track=track)
    loaded = read(path, partial(weights.check, path))
    names = blank(weights.network, arguments).state_dict()
    state = naming(weights.publisher, weights.network).to_ours(loaded.state, names, str(weights))
    return loaded._replace(state=state)


def _source(name: str, weights: object) -> Published | Path:
    """What a caller means by `weights`."""
    if isinstance(weights, os.PathLike):
        return Path(weights)
    if isinstance(weights, str):
        return Path(weights) if is_file(name, weights) else find(name, weights)
    if weights is not True:
        raise UsageError(
            f"weights of {name} must be True, an id, the path of a file, or None for none, got {weights!r}"
        )
    default = published(name)
    if default is None:
        raise UsageError(f"{without_weights(name)}; leave weights out, or give a file")
    return default

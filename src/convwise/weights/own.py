"""What a file of ours says beside its tensors: which network they are of, and with which arguments it was built."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from .. import networks
from ..errors import DataError, UsageError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

NOTE = "convwise.network"  # in the metadata of safetensors; one entry, since it writes several in an order of chance


class Note(NamedTuple):
    """A network's name in `convwise.networks`, and its builder's arguments without the number of classes."""

    name: str
    arguments: dict[str, object]


def serialise(
    state: "Mapping[str, ArrayLike]", network: str, arguments: Mapping[str, object] | None = None
) -> bytes:  # fmt: skip
    """Serialise a state dict as safetensors that note their network: what `convwise.network` needs no word about.

    The same tensors give the same bytes.

    Args:
        state: tensors on the CPU, or arrays, by our names.
        network: name of the network in `convwise.networks`.
        arguments: that its builder was given, without `num_classes`, which the tensors show; None for none.

    Raises:
        UsageError: there is no such network or argument, or a tensor that numpy does not have.
    """
    import safetensors.numpy

    note = json.dumps({"name": network, "arguments": networks.checked_arguments(network, arguments)}, sort_keys=True)
    tensors = {name: _array(name, tensor) for name, tensor in state.items()}
    blob: bytes = safetensors.numpy.save(tensors, metadata={NOTE: note})
    return blob


def _array(name: str, tensor: "ArrayLike") -> "NDArray[Any]":
    """A tensor as an array, in the order of its memory, which safetensors writes as it lies."""
    try:
        array = np.asarray(tensor.detach() if hasattr(tensor, "detach") else tensor, order="C")
    except TypeError as error:
        raise UsageError(f"tensor {name!r} cannot be serialised: {error}; give tensor.float().cpu()") from error
    return array


def parse(noted: str | None, path: Path) -> Note | None:
    """What a file's metadata has under `NOTE`; None where that is nothing.

    Raises:
        DataError: it is something else than `serialise` writes.
    """
    if noted is None:
        return None
    try:
        match json.loads(noted):
            case {"name": str(name), "arguments": dict(arguments), **rest} if not rest:
                return Note(name, arguments)
    except (ValueError, RecursionError):
        pass
    raise DataError(
        f"weights file {str(path)!r} must have a JSON object of `name` and `arguments` as {NOTE} in its metadata, got "
        f"{noted[:80]!r}; write it with convwise.weights.serialise"
    )

"""What a file of ours says beside its tensors: which network they are of, and with which arguments it was built."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..errors import DataError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

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
        arguments: that its builder was given, as plain values; None for none.
    """
    import safetensors.numpy

    note = json.dumps({"name": network, "arguments": dict(arguments or {})}, sort_keys=True)
    # safetensors writes memory as it lies
    tensors = {name: np.asarray(tensor, order="C") for name, tensor in state.items()}
    blob: bytes = safetensors.numpy.save(tensors, metadata={NOTE: note})
    return blob


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

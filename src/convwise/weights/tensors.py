"""A file of weights -> its tensors, on the CPU, without running any code that it may hold."""

import hashlib
import json
import os
import re
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from pickle import UnpicklingError
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from ..errors import DataError
from .naming import COUNTER, few
from .own import NOTE, Note, parse

if TYPE_CHECKING:
    from torch import Tensor

WRAPPERS = ("state_dict", "model")  # what training scripts put around a state dict
PREFIX = "module."  # of every name, where `torch.nn.DataParallel` was around the network


class Loaded(NamedTuple):
    """What a file of weights holds.

    Attributes:
        state: by the file's names; float32, but for batch norm's counters, and each with memory of its own.
        sha256: of the bytes that were read.
        note: what the file says of its network; None where it says nothing.
    """

    state: "dict[str, Tensor]"
    sha256: str
    note: Note | None


@contextmanager
def opened(path: Path) -> Iterator[BufferedReader]:
    """Open a file of weights.

    Raises:
        DataError: there is none, it cannot be read, or it is a folder, a pipe or a device, which may have no end.
    """
    try:
        if path.exists() and not path.is_file():
            raise DataError(f"weights file {str(path)!r} cannot be read: it is no file")
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise DataError(f"weights file {str(path)!r} cannot be read: {error.strerror or error}") from error


def read(path: Path, check: Callable[[str], None] | None = None) -> Loaded:
    """Read a state dict that was saved by safetensors or by `torch.save`, whatever the file is called.

    Args:
        path: of the file, which is opened once.
        check: gets the file's SHA-256 before anything is made of it, and may raise.

    Raises:
        DataError: there is no such file, it is something else, it is damaged or changes while it is read, or its
            tensors are not what a network's may be: dense, finite, of floating-point numbers.
    """
    start = None
    try:
        with opened(path) as file:
            before = os.fstat(file.fileno())
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            if check:
                check(digest)
            file.seek(0)
            start = file.read(256)
            file.seek(0)
            loaded, noted = _safetensors(file) if _is_safetensors(start) else (_pickled(file, path), None)
            after = os.fstat(file.fileno())
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise DataError(f"weights file {str(path)!r} was changed while it was read; repeat the command")
        state = _state(loaded, before.st_size, path)
        return Loaded(state, digest, parse(noted, path))
    except DataError:
        raise
    except Exception as error:  # a damaged file can raise anything
        raise DataError(f"weights file {str(path)!r} cannot be read: {_reason(start, error)}") from error


def _is_safetensors(start: bytes) -> bool:
    return start[8:9] == b"{"  # behind the length of the header


def _safetensors(file: IO[bytes]) -> tuple[dict[str, Any], str | None]:
    """The tensors, and what the file notes of its network."""
    from safetensors.torch import load

    data = file.read()
    tensors = load(data)
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return tensors, header.get("__metadata__", {}).get(NOTE)


def _pickled(file: IO[bytes], path: Path) -> Any:
    import torch

    size = os.fstat(file.fileno()).st_size
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > size:  # torch.save does not compress
            raise DataError(
                f"weights file {str(path)!r} cannot be read: it unpacks to {unpacked / 1e6:,.1f} MB, the file has "
                f"{size / 1e6:,.1f}"
            )
    file.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of formats that are refused anyway
        return torch.load(file, map_location="cpu", weights_only=True)  # tensors alone are unpickled, never code


def _reason(start: bytes | None, error: Exception) -> str:
    """Say what is wrong with a file that begins so; None where it could not be opened."""
    if start is None:
        return str(error)
    if not start:
        return "it is empty"
    if start.lstrip()[:1] == b"<":
        return "it is a web page, not weights; load the file itself"
    refused = re.search(r"GLOBAL ([\w.]+\.\w+)", str(error)) or re.search("(TorchScript)", str(error))
    if refused:
        return (
            f"it holds code ({refused[1]}), which convwise never runs; save the network's state_dict() alone, best as "
            "safetensors"
        )
    if not re.search(rb"[\x00-\x08\x0e-\x1f]", start):
        return "it is text, not weights"
    if start.startswith(b"PK"):
        return "it is a zip archive that is damaged or cut short, or that torch.save did not write"
    if _is_safetensors(start):
        return "it is a safetensors file that is damaged or cut short; get it again"
    if isinstance(error, UnpicklingError):
        return "it is no file of weights, or holds more than tensors, which might be code and is not loaded"
    return "it is damaged or cut short, or no file of weights"


def _state(loaded: Any, size: int, path: Path) -> "dict[str, Tensor]":
    """The state dict in what was read out of a file of `size` bytes."""
    import torch

    for name in WRAPPERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(name), Mapping):
            loaded = loaded[name]
    if not isinstance(loaded, Mapping) or not loaded:
        raise DataError(
            f"weights file {str(path)!r} must hold a state dict, tensors by name, got {type(loaded).__name__}"
        )
    for name, tensor in loaded.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise DataError(
                f"weights file {str(path)!r} must hold a state dict, tensors by name, got {name!r}: "
                f"{type(tensor).__name__}"
            )
    _check_kinds(loaded, path)
    needed = sum(tensor.nbytes for tensor in loaded.values())
    if needed > size:  # an expanded tensor claims what no file holds; nothing has been allocated for it yet
        raise DataError(
            f"weights file {str(path)!r} cannot be read: its tensors would take {needed / 1e6:,.1f} MB, the file has "
            f"{size / 1e6:,.1f}"
        )
    cut = len(PREFIX) if all(name.startswith(PREFIX) for name in loaded) else 0
    state = dict(zip((name[cut:] for name in loaded), _apart(loaded.values()), strict=True))
    _check_finite(state, path)
    return state


def _check_kinds(loaded: "Mapping[str, Tensor]", path: Path) -> None:
    """Hold tensors to what a network's may be, without looking at their values.

    Raises:
        DataError: one is sparse, nested, without data, quantised, complex, or of whole numbers that count nothing.
    """
    import torch

    for name, tensor in loaded.items():
        dense = not tensor.is_nested and tensor.layout is torch.strided and tensor.device.type == "cpu"
        counter = name.endswith(COUNTER) and tensor.dtype in (torch.int32, torch.int64)
        if not dense or not (tensor.is_floating_point() or counter):
            kind = "nested" if tensor.is_nested else f"{tensor.layout}, {tensor.dtype}, {tensor.device.type}"
            raise DataError(
                f"weights file {str(path)!r} must hold dense tensors of floating-point numbers, got {name}: "
                f"{kind.replace('torch.', '')}; save the state_dict() of the network as it was trained"
            )


def _apart(tensors: "Iterable[Tensor]") -> "Iterator[Tensor]":
    """Make floating-point numbers float32, and give every tensor that shares memory a copy."""
    taken: set[int] = set()
    for given in tensors:
        tensor = (given.float() if given.is_floating_point() else given).detach().contiguous()
        memory = tensor.untyped_storage()
        if memory.nbytes() != tensor.nbytes or memory.data_ptr() in taken:
            tensor = tensor.clone()
        taken.add(tensor.untyped_storage().data_ptr())
        yield tensor


def _check_finite(state: "Mapping[str, Tensor]", path: Path) -> None:
    ends = {name: tensor.aminmax() for name, tensor in state.items() if tensor.numel()}  # NaN wins over any number
    bad = [name for name, (low, high) in ends.items() if not (low.isfinite() and high.isfinite())]
    if bad:
        raise DataError(f"weights file {str(path)!r} holds numbers that are not finite, in {few(bad)}")

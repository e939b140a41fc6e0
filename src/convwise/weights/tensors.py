"""A file of weights -> its tensors, on the CPU, without running any code that it may hold."""

import hashlib
import json
import os
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from pickle import UnpicklingError
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from ..errors import DataError
from .own import NOTE, Note, parse
from .state_dict import state_of

if TYPE_CHECKING:
    from torch import Tensor


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
        state = state_of(loaded, before.st_size, path)
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

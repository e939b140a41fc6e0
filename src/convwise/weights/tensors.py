"""A file of weights -> its tensors, on the CPU, without running any code that it may hold."""

import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

from ..errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

WRAPPERS = ("state_dict", "model")  # what training scripts put around a state dict
PREFIX = "module."  # of every name, where `torch.nn.DataParallel` was around the network


def read(path: Path) -> "dict[str, Tensor]":
    """Read a state dict that was saved by safetensors or by `torch.save`, whatever the file is called.

    Floating-point numbers become float32.

    Raises:
        DataError: there is no such file, it is something else, it is damaged, or it holds numbers that are not finite.
    """
    try:
        with path.open("rb") as file:
            start = file.read(256)
        loaded = _safetensors(path) if start[8:9] == b"{" else _pickled(path)
    except OSError as error:
        raise DataError(f"weights file {path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # a damaged file can raise anything
        raise DataError(f"weights file {path} cannot be read: {_reason(start, error)}") from error
    return _finite(_state(loaded, path), path)


def _safetensors(path: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return {name: tensor.clone() for name, tensor in load_file(path).items()}  # off the mapped file


def _pickled(path: Path) -> Any:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of formats that are refused anyway
        return torch.load(path, map_location="cpu", weights_only=True)  # tensors alone are unpickled, never code


def _reason(start: bytes, error: Exception) -> str:
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
    if isinstance(error, UnpicklingError):
        return "it is no file of weights, or holds more than tensors, which might be code and is not loaded"
    first = re.split(r"\.\s|\n", str(error))[0].strip()
    return f"it is damaged, or no file of weights ({type(error).__name__}: {first})"


def _state(loaded: Any, path: Path) -> "dict[str, Tensor]":
    """The state dict in what was read."""
    import torch

    for name in WRAPPERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(name), Mapping):
            loaded = loaded[name]
    if not isinstance(loaded, Mapping) or not loaded:
        raise DataError(f"weights file {path} must hold a state dict, tensors by name, got {type(loaded).__name__}")
    for name, tensor in loaded.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise DataError(
                f"weights file {path} must hold a state dict, tensors by name, got {name!r}: {type(tensor).__name__}"
            )
    cut = len(PREFIX) if all(name.startswith(PREFIX) for name in loaded) else 0
    return {name[cut:]: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in loaded.items()}


def _finite(state: "dict[str, Tensor]", path: Path) -> "dict[str, Tensor]":
    bad = [name for name, tensor in state.items() if tensor.is_floating_point() and not tensor.isfinite().all()]
    if bad:
        raise DataError(
            f"weights file {path} holds numbers that are not finite in {len(bad)} tensors, first {', '.join(bad[:3])}"
        )
    return state

"""What was read out of a file of weights -> a state dict, held to what a network's may be."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DataError
from .naming import COUNTER, few

if TYPE_CHECKING:
    from torch import Tensor

WRAPPERS = ("state_dict", "model")  # what training scripts put around a state dict
PREFIX = "module."  # of every name, where `torch.nn.DataParallel` was around the network


def state_of(loaded: Any, size: int, path: Path) -> "dict[str, Tensor]":
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

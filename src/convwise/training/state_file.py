"""The state of a training as a safetensors file, to the bit: its tensors, and its figures in the metadata."""

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from .state import Epoch, State

TYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.complex64: "C64",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.bool: "BOOL",
    torch.uint64: "U64", torch.uint32: "U32", torch.uint16: "U16", torch.uint8: "U8",
}  # fmt: skip  # as safetensors names them


def chunks(held: Mapping[str, Tensor], record: Mapping[str, Any]) -> Iterator[bytes | memoryview]:
    """The bytes of a safetensors file with a record, tensor by tensor: no second copy of all of them is made."""
    named = sorted(held.items(), key=lambda item: (-item[1].element_size(), item[0]))  # each in line with its size
    header: dict[str, Any] = {"__metadata__": {"record": json.dumps(record)}}
    end = 0
    for name, tensor in named:
        begin, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": TYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for _, tensor in named:
        yield tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data


def layout(state: State) -> str:
    """Hash of the names, shapes and types of all that a network holds."""
    held = [(name, tuple(tensor.shape), str(tensor.dtype)) for name, tensor in state.network.state_dict().items()]
    return hashlib.sha256(repr(held).encode()).hexdigest()


def tensors(state: State) -> dict[str, Tensor]:
    """All tensors of a state and the generators', by name."""
    parts: dict[str, Mapping[str, Tensor]] = {"network": state.network.state_dict(), "best": state.best}
    if state.ema is not None:
        parts["ema"] = state.ema.state_dict()
    for i, (_, kept) in enumerate(_optimizer_state(state)):
        parts[f"optimizer.{i}"] = {key: value for key, value in kept.items() if isinstance(value, Tensor)}
    held = {f"{part}.{name}": tensor for part, named in parts.items() for name, tensor in named.items()}
    held["generator"] = torch.get_rng_state()
    if state.setting.device == "cuda":
        held["cuda_generator"] = torch.cuda.get_rng_state()
    return held


def figures(state: State) -> dict[str, Any]:
    """All that a state holds beside its tensors, as plain values."""
    return {
        "step": state.step, "history": state.history, "loss": state.loss, "images": state.images,
        "waited": state.waited, "stopped": state.stopped, "seconds": state.seconds,
    }  # fmt: skip


def take_over(state: State, whole: Any, record: Mapping[str, Any]) -> None:
    """Make a state that of an open safetensors file and its record, tensor by tensor; the generators too."""
    names = whole.keys()

    def part(prefix: str) -> Iterator[tuple[str, Tensor]]:
        return ((name.removeprefix(prefix), whole.get_tensor(name)) for name in names if name.startswith(prefix))

    for prefix, module in (("network.", state.network), ("ema.", state.ema)):
        own = {} if module is None else module.state_dict()
        for name, tensor in part(prefix):
            own[name].copy_(tensor)
    like = state.network.state_dict()
    state.best = {name: _as(like[name], tensor) for name, tensor in part("best.")}
    for i, (parameter, _) in enumerate(_optimizer_state(state)):
        if kept := {key: _as(parameter, tensor) for key, tensor in part(f"optimizer.{i}.")}:
            state.optimizer.state[parameter] = kept
    state.history = [Epoch(*row) for row in record["history"]]
    state.step, state.loss, state.images = record["step"], record["loss"], record["images"]
    state.waited, state.stopped = record["waited"], record["stopped"]
    state.started = time.monotonic() - record["seconds"]
    torch.set_rng_state(whole.get_tensor("generator"))
    if state.setting.device == "cuda":
        torch.cuda.set_rng_state(whole.get_tensor("cuda_generator"))


def _optimizer_state(state: State) -> list[tuple[Tensor, dict[str, Any]]]:
    """What the optimiser keeps of each parameter, in its own order."""
    optimizer = state.optimizer
    return [(p, optimizer.state.get(p, {})) for group in optimizer.param_groups for p in group["params"]]


def _as(like: Tensor, tensor: Tensor) -> Tensor:
    """The tensor with its numbers in the same order of memory as `like`: arithmetic may differ in the last bit else."""
    return torch.empty_like(like).copy_(tensor) if like.shape == tensor.shape else tensor.to(like.device, copy=True)

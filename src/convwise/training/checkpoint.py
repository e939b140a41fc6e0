"""Checkpoints: a training that was interrupted goes on from them, to the same bits.

A checkpoint is one safetensors file, whole or not there; its name ends in the SHA-256 of its bytes.
"""

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor

from ..data.augmentation.applying import made_by
from ..errors import CheckpointError, MachineError
from ..runtime.cache import aside
from .device import device_name
from .recipe import UNCHANGED, Recipe
from .state import Epoch, Setting, State

KEPT = 2
SHORTEST, SHARE = 1.0, 0.02  # seconds between two checkpoints, and the share of the time that saving may take
TYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.complex64: "C64",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.bool: "BOOL",
    torch.uint64: "U64", torch.uint32: "U32", torch.uint16: "U16", torch.uint8: "U8",
}  # fmt: skip  # as safetensors names them
Identity = dict[str, Any]


def identity(recipe: Recipe, setting: Setting, data: str, rear: str = "") -> Identity:
    """What a training must have in common with the one that it goes on with, down to the bits.

    Args:
        recipe: how.
        setting: how this machine computes.
        data: hash of what the weights learn from and the epochs are chosen by.
        rear: hash of the code of the user's layers; empty where there are none.
    """
    versions = {"torch": torch.__version__} | (made_by() if recipe.augmentation != UNCHANGED else {})
    device = device_name(setting.device)
    return {"recipe": recipe.to_json(), **versions, **setting._asdict(), "device": device, "images": data, "rear": rear}


class Checkpoints:
    """The last checkpoints of one training, in a folder of their own."""

    def __init__(self, folder: Path, recipe: Recipe, same: Identity) -> None:
        self.folder, self._recipe, self._same = folder, recipe, same
        self._last, self._took = time.monotonic(), 0.0

    def due(self) -> bool:
        """Whether it is time for the next one."""
        return time.monotonic() - self._last > max(SHORTEST, self._took / SHARE)

    def save(self, state: State) -> None:
        """Write the state, and delete all older ones but one.

        Raises:
            MachineError: it cannot be written; the one before it is kept.
        """
        begun = time.monotonic()
        record = {
            "same": self._same | {"network": _layout(state)},
            "step": state.step, "history": state.history, "loss": state.loss, "images": state.images,
            "waited": state.waited, "stopped": state.stopped, "seconds": state.seconds,
        }  # fmt: skip
        tensors = _tensors(state)
        tensors["generator"] = torch.get_rng_state()
        if state.setting.device == "cuda":
            tensors["cuda_generator"] = torch.cuda.get_rng_state()
        digest = hashlib.sha256()
        for chunk in _chunks(tensors, record):
            digest.update(chunk)
        path = self.folder / f"{state.step:010}.{state.epoch:06}-{digest.hexdigest()}.safetensors"
        try:
            with aside(path) as file:
                file.writelines(_chunks(tensors, record))
            for old in self._files()[KEPT:]:
                old.unlink(missing_ok=True)
        except OSError as error:
            raise MachineError(
                f"a checkpoint could not be written in {str(self.folder)!r}: {error.strerror or error}; the one before "
                "it is kept. Free some space, and repeat the command"
            ) from error
        self._last = time.monotonic()
        self._took = self._last - begun

    def restore(self, state: State) -> tuple[str, ...]:
        """Go on where the newest whole checkpoint was written, and delete damaged ones that are newer.

        Without any the state stays as it is.

        Returns:
            What a user should know.

        Raises:
            CheckpointError: none is whole, or it is of another training.
        """
        files = self._files()
        damaged: list[Path] = []
        for path in files:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if digest != path.stem.partition("-")[2]:
                damaged.append(path)
                continue
            with safetensors.safe_open(path, "pt") as whole:
                record = json.loads(whole.metadata()["record"])
                self._check(path, record, self._same | {"network": _layout(state)})
                _restore(state, whole, record)
            for other in damaged:  # it would take the place of a whole one, and be told of again
                other.unlink(missing_ok=True)
            if damaged:
                return (f"the newest checkpoint was damaged; training went on from step {state.step}",)
            return ()
        if files:
            raise CheckpointError(
                f"checkpoint {damaged[0].name[:10]} in {str(self.folder)!r} is damaged, its bytes have another hash "
                "than its name, and there is no older one; delete that folder to train from the start"
            )
        return ()

    def _files(self) -> list[Path]:
        """The newest first."""
        return sorted(self.folder.glob("[0-9]*-*.safetensors"), reverse=True)

    def _check(self, path: Path, record: Mapping[str, Any], same: Identity) -> None:
        was = record["same"]
        changed = next((name for name in same if same[name] != was.get(name)), "")
        if not changed:
            return
        told = f"{changed} {was.get(changed)!r}, now {same[changed]!r}"
        if changed == "recipe":
            told = f"another recipe: {self._recipe.difference(was['recipe'])}"
        elif changed == "images":
            told = "other images, or other labels"
        elif changed == "network":
            told = "another network"
        elif changed == "rear":
            told = "another network: the source of its rear was another"
        raise CheckpointError(
            f"checkpoint {path.name[:10]} in {str(self.folder)!r} is of a training with {told}; "
            "go back to that, or delete the folder to train from the start"
        )


def _chunks(tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> Iterator[bytes | memoryview]:
    """The bytes of a safetensors file with a record, tensor by tensor: no second copy of all of them is made."""
    named = sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0]))  # each in line with its size
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


def _layout(state: State) -> str:
    """Hash of the names, shapes and types of all that a network holds."""
    held = [(name, tuple(tensor.shape), str(tensor.dtype)) for name, tensor in state.network.state_dict().items()]
    return hashlib.sha256(repr(held).encode()).hexdigest()


def _tensors(state: State) -> dict[str, Tensor]:
    """All tensors of a state but the generator's, by name."""
    parts: dict[str, Mapping[str, Tensor]] = {"network": state.network.state_dict(), "best": state.best}
    if state.ema is not None:
        parts["ema"] = state.ema.state_dict()
    for i, (_, kept) in enumerate(_optimizer_state(state)):
        parts[f"optimizer.{i}"] = {key: value for key, value in kept.items() if isinstance(value, Tensor)}
    return {f"{part}.{name}": tensor for part, named in parts.items() for name, tensor in named.items()}


def _optimizer_state(state: State) -> list[tuple[Tensor, dict[str, Any]]]:
    """What the optimiser keeps of each parameter, in its own order."""
    optimizer = state.optimizer
    return [(p, optimizer.state.get(p, {})) for group in optimizer.param_groups for p in group["params"]]


def _restore(state: State, whole: Any, record: Mapping[str, Any]) -> None:
    """Take over what an open safetensors file holds, tensor by tensor."""
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


def _as(like: Tensor, tensor: Tensor) -> Tensor:
    """The tensor with its numbers in the same order of memory as `like`: arithmetic may differ in the last bit else."""
    return torch.empty_like(like).copy_(tensor) if like.shape == tensor.shape else tensor.to(like.device, copy=True)

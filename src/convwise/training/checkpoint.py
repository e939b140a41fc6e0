"""Checkpoints: a training that was interrupted goes on from them, to the same bits.

A checkpoint is one safetensors file, whole or not there; its name ends in the SHA-256 of its bytes.
"""

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import torch

from ..data.augmentation.applying import made_by
from ..errors import CheckpointError, MachineError
from ..runtime.cache import aside
from .device import device_name
from .judging import RULE
from .recipe import UNCHANGED, Recipe
from .stand_ins import KERNELS
from .state import Setting, State
from .state_file import chunks, figures, layout, take_over, tensors

KEPT = 2
SHORTEST, SHARE = 1.0, 0.02  # seconds between two checkpoints, and the share of the time that saving may take
Identity = dict[str, Any]


def identity(recipe: Recipe, setting: Setting, data: str, rear: str = "") -> Identity:
    """What a training must have in common with the one that it goes on with, down to the bits.

    Args:
        recipe: how.
        setting: how this machine computes.
        data: hash of what the weights learn from and the epochs are chosen by.
        rear: hash of the code of the user's layers; empty where there are none.
    """
    rules = {"torch": torch.__version__, "kernels": KERNELS, "epochs by": RULE}
    rules |= made_by() if recipe.augmentation != UNCHANGED else {}
    device = device_name(setting.device)
    return {"images": data, "recipe": recipe.to_json(), **rules, **setting._asdict(), "device": device, "rear": rear}


class Checkpoints:
    """The last checkpoints of one training, in a folder of their own: two while it goes on, one when it is over."""

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
        self._save(state, KEPT)

    def finish(self, state: State) -> None:
        """Write the state of a training that is over, and delete all older ones: a repeat needs it alone.

        Raises:
            MachineError: it cannot be written; the one before it is kept.
        """
        self._save(state, 1)

    def _save(self, state: State, kept: int) -> None:
        begun = time.monotonic()
        record = {"same": self._same | {"network": layout(state)}, **figures(state)}
        held = tensors(state)
        digest = hashlib.sha256()
        for chunk in chunks(held, record):
            digest.update(chunk)
        path = self.folder / f"{state.step:010}.{state.epoch:06}-{digest.hexdigest()}.safetensors"
        try:
            with aside(path) as file:
                file.writelines(chunks(held, record))
            for old in self._files()[kept:]:
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
                self._check(path, record, self._same | {"network": layout(state)})
                take_over(state, whole, record)
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
        elif changed == "kernels":
            told = "other gradients: another version of convwise began it"
        elif changed == "epochs by":
            told = "epochs that were compared otherwise: another version of convwise began it"
        elif changed == "network":
            told = "another network"
        elif changed == "rear":
            told = "another network: the source of its rear was another"
        raise CheckpointError(
            f"checkpoint {path.name[:10]} in {str(self.folder)!r} is of a training with {told}; "
            "go back to that, or delete the folder to train from the start"
        )

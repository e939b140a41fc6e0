"""What the tests of files of weights share: a small state dict, and every way to save one."""

from pathlib import Path
from typing import Any

import safetensors.torch
import torch

STATE = {"conv.weight": torch.arange(12.0).reshape(3, 4), "norm.num_batches_tracked": torch.tensor(7)}


def as_zip(state: Any, path: Path) -> None:
    torch.save(state, path)


def as_legacy(state: Any, path: Path) -> None:
    torch.save(state, path, _use_new_zipfile_serialization=False)


def as_safetensors(state: Any, path: Path) -> None:
    safetensors.torch.save_file(state, path)

"""What the tests of fitting share."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

from convwise.fitting import Options, Run

MakePhotos = Callable[..., Path]


LENET = ("lenet5",)


def table(run: Run, name: str) -> list[dict[str, str]]:
    with (run.path / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def weights_hash(run: Run) -> str:
    return str(run.classifier.sha256["weights.safetensors"])


def head(**changes: Any) -> Options:
    return Options(**{"resolution": 64, "threads": 2, **changes})

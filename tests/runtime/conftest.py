"""A folder of photos to change, and how often its files are read."""

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from convwise.data import decoding


@pytest.fixture
def folder(tmp_path: Path, make_photos: Callable[..., Path]) -> Path:
    """Ten images of two classes, to do with as one likes."""
    return make_photos(tmp_path / "photos", 5, ("blue", "red"))


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each file is read."""
    counts: Counter[str] = Counter()
    real = decoding.read

    def read(path: str | os.PathLike[str]) -> bytes:
        counts[Path(path).name] += 1
        return real(path)

    monkeypatch.setattr(decoding, "read", read)
    return counts

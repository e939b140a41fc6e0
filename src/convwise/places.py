"""Where convwise keeps what it can make or load again, and how files are told apart."""

import hashlib
import os
from pathlib import Path


def cache_dir() -> Path:
    """The cache's folder: CONVWISE_CACHE, or `convwise` in the user's cache folder."""
    if set_by_user := os.environ.get("CONVWISE_CACHE"):
        return Path(set_by_user)
    base = os.environ.get("LOCALAPPDATA") or os.environ.get("XDG_CACHE_HOME")
    return Path(base or Path.home() / ".cache") / "convwise"


def sha256_of(path: Path) -> str:
    """Hash a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""Where convwise keeps what it can make or load again, what a failing disk means there, how files are told apart."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import MachineError


def cache_dir() -> Path:
    """The cache's folder: CONVWISE_CACHE, or `convwise` in the user's cache folder."""
    if set_by_user := os.environ.get("CONVWISE_CACHE"):
        return Path(set_by_user)
    base = os.environ.get("LOCALAPPDATA") or os.environ.get("XDG_CACHE_HOME")
    return Path(base or Path.home() / ".cache") / "convwise"


@contextmanager
def disk_errors(what: str) -> Iterator[None]:
    """Turn a disk that fails under the cache into the error that says what is kept.

    Args:
        what: is written there.

    Raises:
        MachineError: any OSError inside.
    """
    try:
        yield
    except OSError as error:
        raise MachineError(
            f"{what} could not be written in {str(cache_dir())!r}: {error.strerror or error}; what was finished is "
            "kept. Free some space (`convwise cache --clear`), or set CONVWISE_CACHE to another disk, and repeat the "
            "command"
        ) from error


def sha256_of(path: Path) -> str:
    """Hash a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

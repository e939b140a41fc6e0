"""What stands between a download and the disk."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock

from ..errors import MachineError


def size(path: Path) -> int:
    """Bytes of a file; 0 where there is none."""
    return path.stat().st_size if path.exists() else 0


@contextmanager
def locked(target: Path) -> Iterator[None]:
    """Let one process at a time load the file `target`."""
    lock_file = target.with_name(f"{target.name}.lock")
    lock = FileLock(lock_file)
    with disk_errors(target):
        lock.acquire()
    try:
        yield
    finally:
        with suppress(OSError):  # Windows deletes no open file; an empty one may stay
            lock_file.unlink()  # whoever waits for it finds out: filelock takes no lock on a deleted file
        lock.release()


@contextmanager
def disk_errors(target: Path) -> Iterator[None]:
    """Turn a failing disk into the error that says what is kept.

    Raises:
        MachineError: any OSError inside.
    """
    try:
        yield
    except OSError as error:
        raise MachineError(
            f"{target} could not be written: {error.strerror or error}; what was loaded is kept. Free some space, or "
            "set CONVWISE_CACHE to another disk, and repeat the command"
        ) from error

"""What stands between a download and the disk."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock

from ..places import disk_errors


def size(path: Path) -> int:
    """Bytes of a file; 0 where there is none."""
    return path.stat().st_size if path.exists() else 0


@contextmanager
def locked(target: Path) -> Iterator[None]:
    """Let one process at a time load the file `target`."""
    lock_file = target.with_name(f"{target.name}.lock")
    lock = FileLock(lock_file)
    with disk_errors(target.name):
        lock.acquire()
    try:
        yield
    finally:
        with suppress(OSError):  # Windows deletes no open file; an empty one may stay
            lock_file.unlink()  # whoever waits for it finds out: filelock takes no lock on a deleted file
        lock.release()

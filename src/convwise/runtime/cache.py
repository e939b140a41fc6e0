"""What is computed once and kept on disk: where it is and how much it may take.

Everything here may be deleted at any time. An entry is a folder under `rows`, `images` or `graphs`.
"""

import hashlib
import json
import math
import os
import shutil
import time
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from ..errors import MachineError, UsageError
from ..places import cache_dir


def cache_limit() -> int:
    """Bytes that the cached entries may take: CONVWISE_CACHE_GB (20) times 10^9.

    Raises:
        UsageError: the variable is not a positive number.
    """
    text = os.environ.get("CONVWISE_CACHE_GB", "20")
    try:
        limit = float(text)
    except ValueError:
        limit = 0.0
    if not (limit > 0 and math.isfinite(limit)):
        raise UsageError(f"CONVWISE_CACHE_GB must be a number of gigabytes above 0, got {text!r}")
    return int(limit * 1e9)


def free_disk() -> int:
    """Bytes that are free where the cache is, or will be."""
    folder = cache_dir().absolute()
    return shutil.disk_usage(next(place for place in (folder, *folder.parents) if place.is_dir())).free


def key_of(record: dict[str, Any]) -> str:
    """SHA-256 (hex) of a record of plain values."""
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


STALE_SECONDS = 3600  # a file that is being written is younger
INDEX = "index-1.sqlite"  # another table, another number


def write_aside(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all, also after a kill or a power cut."""
    with aside(path) as file:
        file.write(data)


@contextmanager
def aside(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that gets its name, `path`, when all is written; the folder is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = temporary(path.parent)
    try:
        with hidden.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(hidden, path)
    except BaseException:
        hidden.unlink(missing_ok=True)
        raise


def temporary(folder: Path) -> Path:
    """A hidden name in a folder that nobody else takes; files under it get the user's own mode, unlike tempfile's."""
    return folder / f".tmp-{uuid.uuid4().hex}"


def touch(folder: Path) -> None:
    """Mark an entry as used now; the least recently used one goes first."""
    with suppress(OSError):  # a cache that others own can be read all the same
        os.utime(folder)


def make_room(keep: Collection[Path]) -> None:
    """Delete the least recently used entries until the cache is within its limit; the folders in `keep` stay."""
    limit = cache_limit()
    for left_over in cache_dir().glob("*/**/.tmp-*"):  # of processes that were killed
        with suppress(OSError):
            if time.time() - left_over.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(left_over) if left_over.is_dir() else left_over.unlink()
    entries = sorted((used, size, folder) for folder, size, used in _entries())
    total = sum(size for _, size, _ in entries)
    for _, size, folder in entries:
        if total <= limit:
            break
        if folder not in keep:
            shutil.rmtree(folder, ignore_errors=True)  # on Windows a file in use stays; the next run tries again
            total -= size


def cache_usage() -> dict[str, int]:
    """Bytes by kind: rows (features, pixels), prepared images, graphs, weights, index."""
    usage = {"rows": 0, "images": 0, "graphs": 0, "weights": 0, "index": 0}
    for path in cache_dir().rglob("*"):
        if path.is_file():
            kind = path.relative_to(cache_dir()).parts[0]
            usage[kind if kind in usage else "index"] += path.stat().st_size
    return usage


def clear_cache() -> None:
    """Delete everything that convwise keeps in its cache folder, and nothing else that may lie there.

    Raises:
        MachineError: a file cannot be deleted.
    """
    try:
        for name in ("rows", "images", "graphs", "weights"):
            if (cache_dir() / name).exists():
                shutil.rmtree(cache_dir() / name)
        for path in cache_dir().glob(f"{INDEX}*"):
            path.unlink(missing_ok=True)
    except OSError as error:
        raise MachineError(
            f"the cache in {str(cache_dir())!r} could not be cleared: {error.strerror or error}"
        ) from error


def _entries() -> list[tuple[Path, int, float]]:
    """Folder, bytes and time of last use of every entry; files that vanish meanwhile count nothing."""
    found = []
    for kind in ("rows", "images", "graphs"):
        for folder in (cache_dir() / kind).glob("[!.]*"):
            try:
                found.append((folder, sum(f.stat().st_size for f in folder.iterdir()), folder.stat().st_mtime))
            except OSError:
                continue
    return found

"""Whether there is room for what will be computed, asked before the first file is read."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import MachineError, UsageError
from ..machine import has_memory, in_bytes, machine_memory, too_little_memory
from ..places import cache_dir
from .cache import cache_limit, free_disk

if TYPE_CHECKING:
    from .gather import Job


def check_room(jobs: Sequence["Job"], n: int, threads: int) -> None:
    """Refuse rows of n files that have no room.

    Raises:
        UsageError: they are more than the cache may take.
        MachineError: they are more than the disk or the memory can take.
    """
    wanted = n * sum(job.rows.row_bytes for job in jobs)
    missing = sum(max(0, n - len(job.rows)) * job.rows.row_bytes for job in jobs)
    image = 3 * sum(math.prod(job.preprocessing.shape) for job in jobs)  # Pillow's own, its bytes, the array
    rows, limit, free = f"{names(jobs)} of {n} files", cache_limit(), free_disk()
    if wanted > limit:
        raise UsageError(
            f"{rows} take {in_bytes(wanted)} of cache, and CONVWISE_CACHE_GB allows {in_bytes(limit)}; "
            f"raise it{_or_lower(jobs, n, limit)}"
        )
    if missing > free:
        raise MachineError(
            f"{rows} take {in_bytes(missing)} of disk, and {str(cache_dir())!r} has {in_bytes(free)} left; free some "
            f"space (`convwise cache --clear`) or set CONVWISE_CACHE to another disk{_or_lower(jobs, n, free)}"
        )
    if not has_memory(needed := wanted + threads * image):
        room = (machine_memory() or 0) - threads * image
        raise too_little_memory(f"reading {rows}", needed, f"take fewer images{_or_lower(jobs, n, room)}")


def _or_lower(jobs: Sequence["Job"], n: int, room: int) -> str:
    """What else can be done where pixels are kept: take a resolution whose rows have room."""
    pixels = [job for job in jobs if job.rows.shape == job.preprocessing.shape]
    if not pixels:
        return ""
    features = n * sum(job.rows.row_bytes for job in jobs if job not in pixels)
    side = math.isqrt(max(0, room - features) // (n * sum(job.preprocessing.channels for job in pixels)))
    return " or lower --resolution" + (f" to {side}" if side else "")


def names(jobs: Sequence["Job"]) -> str:
    """What is computed, for people."""
    return " and ".join(dict.fromkeys(job.name for job in jobs))

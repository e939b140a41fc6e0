"""Whether there is room for what will be computed, asked before the first image is read."""

import math
from collections.abc import Sequence

from ..data.samples import Listing
from ..errors import NoCacheRoomError, NoMachineRoomError
from ..machine import has_memory, in_bytes, machine_memory, too_little_memory
from ..places import cache_dir
from .cache import cache_limit, free_disk
from .index import FileIndex
from .jobs import Job
from .known import bytes_to_write, known_verdicts


def check_room(jobs: Sequence[Job], n: int, to_write: int, threads: int) -> None:
    """Refuse rows of n files that have no room.

    Args:
        jobs: want them.
        n: files.
        to_write: bytes of the rows that are not on disk yet.
        threads: files that are read at once.

    Raises:
        NoCacheRoomError: they are more than the cache may take.
        NoMachineRoomError: they are more than the disk or the memory can take.
    """
    wanted = _rows(jobs, n)
    images = threads * round(3 * sum(job.image_bytes for job in jobs))  # Pillow's own, its bytes, the array
    held = [job for job in jobs if not job.rows.mapped]
    rows, limit, free = f"{names(jobs)} of {n} files", cache_limit(), free_disk()
    if wanted > limit:
        raise NoCacheRoomError(
            f"{rows} take {in_bytes(wanted)} of cache, and CONVWISE_CACHE_GB allows {in_bytes(limit)}; "
            f"raise it{_or_lower(jobs, n, limit)}"
        )
    if to_write > free:
        raise NoMachineRoomError(
            f"{rows} take {in_bytes(to_write)} of disk, and {str(cache_dir())!r} has {in_bytes(free)} left; free some "
            f"space (`convwise cache --clear`) or set CONVWISE_CACHE to another disk{_or_lower(jobs, n, free)}"
        )
    if not has_memory(needed := _rows(held, n) + images):
        room = (machine_memory() or 0) - images
        raise too_little_memory(f"reading {rows}", needed, f"take fewer images{_or_lower(held, n, room)}")


def within_limit(jobs: Sequence[Job], listing: Listing) -> bool:
    """Whether the rows of a listing are no more than the cache may take, whatever it holds now."""
    return _rows(jobs, len(listing.samples)) <= cache_limit()


def has_disk(jobs: Sequence[Job], listing: Listing) -> bool:
    """Whether those rows of a listing that are not on disk yet have room there."""
    with FileIndex() as index:
        known = known_verdicts(listing, listing.samples, index)
    return bytes_to_write(jobs, listing.samples, known) <= free_disk()


def _rows(jobs: Sequence[Job], n: int) -> int:
    """Bytes of the rows of n files, about."""
    return round(n * sum(job.row_bytes for job in jobs))


def _or_lower(jobs: Sequence[Job], n: int, room: int) -> str:
    """What else can be done where pixels are kept: take a resolution whose rows have room."""
    growth = sum(job.growth for job in jobs)
    if not growth:
        return ""
    fixed = _rows([job for job in jobs if not job.growth], n)
    side = math.isqrt(max(0, room - fixed) // (n * growth))
    return " or lower --resolution" + (f" to {side}" if side else "")


def names(jobs: Sequence[Job]) -> str:
    """What is computed, for people."""
    return " and ".join(dict.fromkeys(job.name for job in jobs))

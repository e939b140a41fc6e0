"""What this machine has, how much of it is asked for, and bytes in words."""

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from .errors import NoMachineRoomError

OUT_OF_MEMORY = ("can't allocate memory", "failed to allocate", "bad allocation")  # as torch and ONNX Runtime say it
UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def machine_memory() -> int | None:
    """Bytes of memory that this process may use at most; None where the system does not say, as on Windows.

    The smallest of what is built in, the limits of the control groups that the process is in (a container's among
    them), and its own, `ulimit -v`. Memory that others use just now is not taken off.
    """
    return min((*_built_in(), *_of_control_groups(), *_of_process()), default=None)


def has_memory(needed: int) -> bool:
    """Whether this process may have so many bytes; yes where nobody knows."""
    limit = machine_memory()
    return limit is None or needed <= limit


def too_little_memory(what: str, needed: int, instead: str, limit: int | None = None) -> NoMachineRoomError:
    """Build the error for work that is not begun, since memory would give out.

    Args:
        what: would be done.
        needed: bytes.
        instead: what the user can do.
        limit: bytes that there are; None: those of the machine.
    """
    there = in_bytes(machine_memory() or 0 if limit is None else limit)
    text = f"{what} needs about {in_bytes(needed)} of memory, and there are {there}"
    return NoMachineRoomError(f"{text}; {instead}")


def in_bytes(count: int) -> str:
    """Bytes with a decimal unit, such as "72.0 GB"."""
    last = len(UNITS) - 1
    power = next((p for p in range(last) if round(count / 1000**p, 1) < 1000), last)
    return f"{count / 1000**power:,.1f} {UNITS[power]}" if power else f"{count} B"


def _built_in() -> Iterator[int]:
    with suppress(AttributeError, ValueError, OSError):  # Windows has no sysconf
        yield os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _of_process() -> Iterator[int]:
    if sys.platform != "win32":
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY:
            yield limit


def _of_control_groups(groups: Path = Path("/proc/self/cgroup"), tree: Path = Path("/sys/fs/cgroup")) -> Iterator[int]:
    """The limits of the process's groups and of all above them, versions 1 and 2, on Linux.

    A container often sees the group's path from outside and its own group at the root, which is read in any case.
    """
    lines: list[str] = []
    with suppress(OSError):
        lines = groups.read_text().splitlines()
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        root, name = (tree / "memory", "memory.limit_in_bytes") if controllers else (tree, "memory.max")
        group = root / path.lstrip("/")
        for folder in (group, *group.parents):
            if not folder.is_relative_to(root):
                break
            with suppress(OSError, ValueError):  # no such file; "max", which is none
                yield int((folder / name).read_text())

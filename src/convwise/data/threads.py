"""Map a function over items in threads: results in order, a bounded number in flight."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from ..errors import UsageError

MOST_THREADS = 256  # more than any one machine gains from; a mistyped number must not take the machine down

T = TypeVar("T")
R = TypeVar("R")


def usable_cpus() -> int:
    """Number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_threads(threads: int | None) -> None:
    """Refuse a number of threads that nobody can mean; None means one a processor.

    Raises:
        UsageError: it is below 1, or above 256.
    """
    if threads is None:
        return
    if threads < 1:
        raise UsageError(f"threads must be above 0, got {threads}")
    if threads > MOST_THREADS:
        raise UsageError(f"threads must be at most {MOST_THREADS}, got {threads}")


def map_in_order(function: Callable[[T], R], items: Iterable[T], threads: int) -> Generator[R, None, None]:
    """Yield `function(item)` in the items' order; at most four results a thread wait, so memory stays flat."""
    pending: deque[Future[R]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="convwise") as pool:
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) >= 4 * threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()

"""How long work shows that it goes on."""

from collections.abc import Iterable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Track(Protocol):
    """Shows progress: yields the items of an iterable of known length."""

    def __call__(self, items: Iterable[T], total: int, what: str) -> Iterable[T]:
        """Yield the items."""
        ...


def silent(items: Iterable[T], total: int, what: str) -> Iterable[T]:  # noqa: ARG001
    """Show nothing."""
    return items


def with_words(track: Track, words: str) -> Track:
    """Put more words behind what is said of the work."""

    def told(items: Iterable[T], total: int, what: str) -> Iterable[T]:
        return track(items, total, f"{what} {words}")

    return told

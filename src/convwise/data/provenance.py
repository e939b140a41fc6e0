"""Where a classifier comes from, and which images it has seen."""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

HASH_BYTES = 6  # of each image's sha256: two of 10^6 images agree by chance once in 560 sets


@dataclass(frozen=True)
class ImageSet:
    """Images, each by the first bytes of the sha256 of its file."""

    prefixes: frozenset[bytes] = field(default=frozenset(), repr=False)

    @classmethod
    def of(cls, hashes: Iterable[str]) -> Self:
        """Make a set from hex hashes."""
        return cls(frozenset(bytes.fromhex(sha256)[:HASH_BYTES] for sha256 in hashes))

    def __contains__(self, sha256: str) -> bool:
        return bytes.fromhex(sha256)[:HASH_BYTES] in self.prefixes

    def __len__(self) -> int:
        return len(self.prefixes)

    def __or__(self, other: Self) -> Self:
        return type(self)(self.prefixes | other.prefixes)

    def __sub__(self, other: Self) -> Self:
        return type(self)(self.prefixes - other.prefixes)

    def to_text(self) -> str:
        """The same set always gives the same text."""
        return base64.b64encode(b"".join(sorted(self.prefixes))).decode()

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read what `to_text` wrote.

        Raises:
            ValueError: it is damaged.
        """
        blob = base64.b64decode(text, validate=True)
        if len(blob) % HASH_BYTES:
            raise ValueError(f"a set of images is cut short: {len(blob)} bytes")
        return cls(frozenset(blob[i : i + HASH_BYTES] for i in range(0, len(blob), HASH_BYTES)))


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where a classifier comes from.

    Attributes:
        data: the folder it was fitted on, as given.
        split_seed: salt of the split by hash.
        trained_on: images that fitted the weights, or those of a teacher.
        chosen_on: images that fitted nothing but made a choice: a penalty, an epoch, the network.
        convwise: version that made it.
        weights: published ones that it stands on: id, source, licence, sha256 of their file, and whether that was
            checked; None where it was trained from scratch, or before this was noted.
    """

    data: str
    split_seed: int
    trained_on: ImageSet
    chosen_on: ImageSet
    convwise: str
    weights: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        images = {"trained_on": self.trained_on.to_text(), "chosen_on": self.chosen_on.to_text()}
        given = dict(self.weights) if self.weights else None
        return {
            "convwise": self.convwise, "data": self.data, "split_seed": self.split_seed, "weights": given, **images
        }  # fmt: skip

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Self:
        """Read what `to_json` wrote.

        Raises:
            ValueError, TypeError, KeyError: it is damaged.
        """
        images = {name: ImageSet.from_text(record[name]) for name in ("trained_on", "chosen_on")}
        return cls(**{**record, **images})

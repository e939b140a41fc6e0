"""Weights that others trained and published: what is known of them before they are loaded."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from ..data.preprocessing import Preprocessing
from ..errors import DataError, UsageError
from ..places import sha256_of
from ..progress import Track, silent
from .store import Given, Hosted, Installed

log = logging.getLogger("convwise")


def terms_of(data: str) -> str:
    """Say what the data that weights were trained on may add to their licence."""
    return (
        f"trained on {data}; ImageNet is given out for non-commercial research and education, and the publisher states "
        "that its own licence may not be all that applies to the weights"
    )


IMAGENET_TERMS = terms_of("ImageNet")


@dataclass(frozen=True, kw_only=True)
class Published:
    """Weights of one network.

    Attributes:
        network: name in `convwise.networks`.
        id: publisher and its own name for them.
        arguments: of the network's builder, where the weights need others than its defaults or may be mistaken.
        num_classes: length of the published logits.
        publisher: whose names the tensors have.
        source: where to read about them.
        licence: SPDX identifier, as the publisher states it.
        terms: what the data they were trained on may add to the licence.
        origin: where the file is.
        sha256: of the file, or its first eight digits where only these are published; empty where none are.
        preprocessing: what the weights expect of an image.
        top1: share of right answers that the publisher states.
        protocol: how it was measured.
    """

    network: str
    id: str
    arguments: Mapping[str, object] = field(default_factory=dict)
    num_classes: int = 1000
    publisher: str
    source: str
    licence: str
    terms: str
    origin: Installed | Hosted | Given
    sha256: str
    preprocessing: Preprocessing
    top1: float
    protocol: str

    def __str__(self) -> str:
        """For messages."""
        return f"the weights {self.id} of {self.network}"

    def merge(self, arguments: Mapping[str, object]) -> dict[str, object]:
        """Join the arguments that the weights need with those that a caller wants.

        Raises:
            UsageError: they contradict each other.
        """
        return merged(str(self), self.arguments, arguments)

    def grey(self) -> Preprocessing:
        """What a network of one channel expects, whose first kernel is the sum over the colours of these weights'.

        A grey level gives the mean of the three numbers that it gives as three equal channels. The three are equal
        where mean and deviation of the colours are, and then the logits are those of the grey image in colour, up to
        rounding; with the usual ones of ImageNet they lie within 0.21 of that mean, and the logits move a little.
        """
        colour = self.preprocessing
        std = len(colour.std) / sum(1 / s for s in colour.std)
        mean = std * sum(m / s for m, s in zip(colour.mean, colour.std, strict=True)) / len(colour.std)
        return replace(colour, channels=1, mean=(mean,), std=(std,))

    def to_json(self) -> dict[str, Any]:
        """The record as plain values; `url` is None, and `package` is not, where the file comes with the installation.

        `sha256` has all digits, or the eight that are published, or none.
        """
        return {
            "network": self.network,
            "id": self.id,
            "publisher": self.publisher,
            "source": self.source,
            "licence": self.licence,
            "terms": self.terms,
            "file": self.origin.name,
            "url": self.origin.url if isinstance(self.origin, Hosted) else None,
            "package": self.origin.distribution if isinstance(self.origin, Installed) else None,
            "sha256": self.sha256,
            "top1": self.top1,
            "protocol": self.protocol,
            "num_classes": self.num_classes,
            "arguments": dict(self.arguments),
            "preprocessing": self.preprocessing.to_json(),
        }

    def file(self, *, offline: bool = False, track: Track = silent) -> Path:
        """Where the file is on this machine, loaded now if it is not there, and checked.

        Args:
            offline: load nothing; the environment variable CONVWISE_OFFLINE=1 says the same.
            track: shows progress.

        Raises:
            DataError: the file is absent, or is not the one that was published.
            MachineError: network or disk gave out.
        """
        path = self.locate(offline=offline, track=track)
        self.check(path, sha256_of(path))
        return path

    def locate(self, *, offline: bool = False, track: Track = silent) -> Path:
        """The same without the check, for a caller that reads the file and checks what it has read."""
        if isinstance(self.origin, Hosted):
            return self.origin.file(str(self), self.sha256, offline=offline, track=track)
        return self.origin.file(str(self))

    def check(self, path: Path, found: str) -> None:
        """Hold the SHA-256 of a file to the published one, or else to the one that the server stated at loading.

        Raises:
            DataError: it is another.
        """
        expected = self.expected()
        if not expected:
            log.warning(
                "%s are used unchecked: no hash is published for %s, and convwise has not loaded it; to have it "
                "checked, delete it and repeat the command with a network", self, path,
            )  # fmt: skip
        if not found.startswith(expected):
            raise DataError(
                f"{path} is not the published file: its sha256 is {found}, expected {expected}; "
                f"{self.origin.repair(path)}"
            )

    def expected(self) -> str:
        """SHA-256 that the file is held to, or its first digits: the published one, or the server's; "" for none."""
        return self.sha256 or (self.origin.stated() if isinstance(self.origin, Hosted) else "")

    def used(self, sha256: str) -> "Used":
        """What to note of the use of a file that has this SHA-256."""
        checked = bool(self.expected()) and sha256.startswith(self.expected())
        return Used(self.id, self.source, self.licence, sha256, checked)

    def fingerprint(self) -> str:
        """What tells the file from any other: its published hash, else that of the file on this machine; else "".

        For keys of what is made from the weights; nothing is loaded or checked for it.
        """
        here = self.origin.path if isinstance(self.origin, Hosted) and not self.sha256 else None
        return sha256_of(here) if here and here.is_file() else self.sha256


class Used(NamedTuple):
    """Published weights as something was made from them.

    Attributes:
        id: publisher and its own name for them.
        source: where to read about them.
        licence: SPDX identifier, as the publisher states it.
        sha256: of the file, all digits.
        checked: whether the file was held to a hash that its publisher or server states.
    """

    id: str
    source: str
    licence: str
    sha256: str
    checked: bool


def merged(what: str, needed: Mapping[str, object], given: Mapping[str, object]) -> dict[str, object]:
    """Join the arguments that weights need with those that a caller wants.

    Args:
        what: the weights, for the message.
        needed: by the weights.
        given: by the caller.

    Raises:
        UsageError: they contradict each other.
    """
    for name, value in given.items():
        if needed.get(name, value) != value:
            raise UsageError(f"{what} need {name}={needed[name]!r}, got {value!r}")
    return {**needed, **given}

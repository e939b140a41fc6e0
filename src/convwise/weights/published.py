"""Weights that others trained and published: what is known of them before they are loaded."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..data.preprocessing import Preprocessing
from ..data.progress import Track, silent
from ..errors import DataError, UsageError
from .store import Hosted, Installed, sha256_of

DATASET_TERMS = (
    "trained on ImageNet, which is given out for non-commercial research and education; the publisher states that its "
    "own licence may not be all that applies to the weights"
)


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
    origin: Installed | Hosted
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
        for name, value in arguments.items():
            if self.arguments.get(name, value) != value:
                raise UsageError(f"{self} need {name}={self.arguments[name]!r}, got {value!r}")
        return {**self.arguments, **arguments}

    def file(self, *, offline: bool = False, track: Track = silent) -> Path:
        """Where the file is on this machine, loaded now if it is not there, and checked.

        Args:
            offline: load nothing; the environment variable CONVWISE_OFFLINE=1 says the same.
            track: shows progress.

        Raises:
            DataError: the file is absent, or is not the one that was published.
            MachineError: network or disk gave out.
        """
        if isinstance(self.origin, Installed):
            path = self.origin.file(str(self))
        else:
            path = self.origin.file(str(self), self.sha256, offline=offline, track=track)
        if self.sha256 and not (found := sha256_of(path)).startswith(self.sha256):
            raise DataError(
                f"{path} is not the published file: its sha256 is {found}, expected {self.sha256}; "
                f"{self.origin.repair(path)}"
            )
        return path

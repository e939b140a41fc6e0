"""Where the files of published weights are on this machine, and how they get there."""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from ..errors import DataError
from ..places import cache_dir
from ..progress import Track, silent

NOT_SET = ("", "0", "false", "no", "off")  # values of CONVWISE_OFFLINE that say nothing


class Installed(NamedTuple):
    """A file inside an installed package."""

    distribution: str  # on PyPI
    package: str  # the same as Python imports it
    path: str  # of the file inside the package

    @property
    def name(self) -> str:
        """Of the file."""
        return self.path.rpartition("/")[2]

    def file(self, what: str) -> Path:
        """Where the file is, found without importing its package.

        Raises:
            DataError: the package is not installed, or its file is gone.
        """
        spec = find_spec(self.package)
        if spec is None or not spec.submodule_search_locations:
            raise DataError(
                f"{what} need the package {self.distribution}, which is not installed; "
                f"run: pip install {self.distribution}"
            )
        path = Path(spec.submodule_search_locations[0], self.path)
        if not path.is_file():
            raise DataError(f"{what} are missing: no file {path}; {self.repair(path)}")
        return path

    def repair(self, path: Path) -> str:  # noqa: ARG002
        """What to do about a damaged file."""
        return f"run: pip install --force-reinstall {self.distribution}"


class Hosted(NamedTuple):
    """A file on the web, kept in the cache once it was loaded."""

    url: str
    name: str  # of the file in the cache

    @property
    def path(self) -> Path:
        """Where the file is, or would be."""
        return cache_dir() / "weights" / self.name

    def file(self, what: str, sha256: str, *, offline: bool = False, track: Track = silent) -> Path:
        """Where the file is, loaded now if it is not there.

        Args:
            what: the weights, for messages.
            sha256: of the file, or its first digits; empty for the one that the server states.
            offline: load nothing; CONVWISE_OFFLINE=1 says the same.
            track: shows progress.

        Raises:
            DataError: the file is absent and may not be loaded, or the server does not have the right one.
            MachineError: network or disk gave out.
        """
        if not self.path.is_file():
            if offline or os.environ.get("CONVWISE_OFFLINE", "").lower() not in NOT_SET:
                raise DataError(
                    f"{what} are not on this machine, and nothing may be loaded (offline, or CONVWISE_OFFLINE is "
                    f"set); load {self.url} elsewhere and put it at {self.path}"
                )
            from .download import download

            download(self.url, self.path, sha256, track=track)
        return self.path

    def stated(self) -> str:
        """SHA-256 of the file that the server stated when it was loaded; empty where it was put there by hand."""
        note = digest_note(self.path)
        return note.read_text(encoding="ascii").strip() if note.is_file() else ""

    def repair(self, path: Path) -> str:
        """What to do about a damaged file."""
        return f"delete {path} and repeat the command"


class Given(NamedTuple):
    """A published file that the user has, wherever it lies."""

    path: Path

    @property
    def name(self) -> str:
        """Of the file."""
        return self.path.name

    def file(self, what: str) -> Path:
        """Where the file is.

        Raises:
            DataError: it is gone.
        """
        if not self.path.is_file():
            raise DataError(f"{what} are missing: no file {str(self.path)!r}; give it again")
        return self.path

    def repair(self, path: Path) -> str:  # noqa: ARG002
        """What to do about a damaged file."""
        return "give the file as it was published"


def digest_note(path: Path) -> Path:
    """Where the hash of a loaded file is kept for which none is published."""
    return path.with_name(f"{path.name}.sha256")

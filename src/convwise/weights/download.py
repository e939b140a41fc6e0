"""A file from the web: taken up again where it broke off, checked, and there whole or not at all."""

import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import IO, Any, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.request import Request, build_opener

from ..errors import DataError, MachineError
from ..places import disk_errors
from ..progress import Track, silent
from .disk import locked, size
from .redirects import Redirects, sha256_in
from .store import digest_note

CHUNK = 1_000_000  # bytes; one step of the progress, so that its rate reads as MB/s
TIMEOUT = 30  # seconds without a byte
PAUSES = (1, 4, 16)  # seconds before a server that is busy or out of order is asked again
BUSY = (429, 500, 502, 503, 504)
GONE = (401, 403, 404, 410, 451)  # asking again would not help


def download(url: str, target: Path, sha256: str = "", *, track: Track = silent) -> None:
    """Load a file, unless it is there; what an earlier call has loaded of it, in `<target>.part`, is kept.

    Where no hash is given, the one that the server states is checked, and noted beside the file for later checks.

    Args:
        url: where from; redirections are followed.
        target: where to; other processes that want it wait for this one.
        sha256: of the content, or its first digits; empty for the one that the server states.
        track: shows progress, in megabytes.

    Raises:
        DataError: the server does not have the file, or has another one, or nothing tells which one is right.
        MachineError: network or disk gave out.
    """
    with disk_errors(target.name):
        target.parent.mkdir(parents=True, exist_ok=True)
    with locked(target):
        if not target.exists():
            _Transfer(url, target, sha256, track).run()


class _Received(NamedTuple):
    """What an attempt that came to the end has found."""

    digest: str  # of the whole file
    stated: str  # SHA-256 in the server's headers; empty where there is none

    def is_right(self, expected: str) -> bool:
        """Whether the file is the one that is expected, or else stated."""
        expected = expected or self.stated
        return bool(expected) and self.digest.startswith(expected)


@dataclass(frozen=True)
class _Transfer:
    url: str
    target: Path
    sha256: str
    track: Track

    @property
    def part(self) -> Path:
        return self.target.with_name(f"{self.target.name}.part")

    def run(self) -> None:
        """Load and check the file, and give it its name."""
        resumed = size(self.part) > 0
        received = self._receive()
        if resumed and not received.is_right(self.sha256):
            self.part.unlink()  # the earlier part was of another file
            received = self._receive()
        expected = self.sha256 or received.stated
        if not expected:
            self.part.unlink()
            raise DataError(
                f"{self.url} cannot be checked: no hash is published for it, and the server states none; "
                f"if you trust it, put the file at {self.target}"
            )
        if not received.is_right(expected):
            self.part.unlink()
            raise DataError(
                f"{self.url} gave another file than the published one: its sha256 is {received.digest}, expected "
                f"{expected}; it was deleted. Something in between may have answered in the server's place; try "
                f"another network, or put the right file at {self.target}"
            )
        with disk_errors(self.target.name):
            if not self.sha256:
                self._note(expected)  # first: a file without its note would count as put there by hand
            self.part.replace(self.target)

    def _note(self, digest: str) -> None:
        note = digest_note(self.target)
        aside = note.with_name(f"{note.name}.part")
        aside.write_text(f"{digest}\n", encoding="ascii")
        aside.replace(note)

    def _receive(self) -> _Received:
        """Load what is missing; go on as long as each attempt brings something."""
        pauses = iter(PAUSES)
        while True:
            before = size(self.part)
            try:
                return self._attempt(before)
            except HTTPError as error:
                pause = next(pauses, None) if error.code in BUSY else None
                if pause is None:
                    raise self._refused(error) from error
                time.sleep(pause)
            except (OSError, HTTPException) as error:  # of the network; the disk's are MachineErrors by now
                kept = size(self.part)
                if kept > before:
                    continue
                further = "the same command tries again"
                if kept:
                    further = f"{kept / 1e6:.1f} MB of it are kept, and the same command goes on from there"
                raise MachineError(
                    f"{self.url} could not be loaded: {_reason(error)}; {further}. "
                    f"Without a network, put the file at {self.target}"
                ) from error

    def _attempt(self, have: int) -> _Received:
        """Ask for the bytes from `have` on and add them to the part."""
        redirects = Redirects()
        headers = {"User-Agent": "convwise", "Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
        try:
            response = build_opener(redirects).open(Request(self.url, headers=headers), timeout=TIMEOUT)
        except HTTPError as error:
            if error.code == 416 and have:  # nothing is behind `have`: all is here, or it was of another file
                return _Received(_digest(self.part, have).hexdigest(), redirects.stated)
            raise
        with response:
            if not str(response.headers.get("Content-Range", "")).startswith(f"bytes {have}-"):
                have = 0  # the server gives all of it
            digest = self._save(response, have)
            return _Received(digest, redirects.stated or sha256_in(response.headers.get("ETag")))

    def _save(self, response: HTTPResponse, have: int) -> str:
        """Write a response behind the first `have` bytes; give the digest of all."""
        missing = response.length or 0  # 0 where the server does not say
        whole = f", {(have + missing) / 1e6:.1f} MB" if missing else ""
        with disk_errors(self.target.name):
            digest = _digest(self.part, have)
            file = self.part.open("r+b" if have else "wb")
        with file:
            with disk_errors(self.target.name):
                file.seek(have)
                file.truncate()
            steps = _copy(response, file, digest, self.target)
            for _ in self.track(steps, -(-missing // CHUNK), f"loading {self.target.name}{whole}"):
                pass
            got = file.tell() - have
        if got < missing:
            raise ConnectionError(f"the connection ended {(missing - got) / 1e6:.1f} MB before the file does")
        return str(digest.hexdigest())

    def _refused(self, error: HTTPError) -> DataError | MachineError:
        status = f"{error.code} {error.reason}".strip()
        if error.code in GONE:
            return DataError(
                f"{self.url} is not given out: the server says {status}; get the file elsewhere and put it at "
                f"{self.target}"
            )
        return MachineError(
            f"{self.url} could not be loaded: the server says {status}; try again later, what was loaded is kept"
        )


def _copy(response: HTTPResponse, file: IO[bytes], digest: Any, target: Path) -> Iterator[None]:
    """Write the body chunk by chunk."""
    while chunk := response.read(CHUNK):
        with disk_errors(target.name):
            file.write(chunk)
            file.flush()  # here, so that closing has nothing left to fail at
        digest.update(chunk)
        yield
    with disk_errors(target.name):
        os.fsync(file.fileno())


def _digest(path: Path, size: int) -> Any:
    """SHA-256 under way, fed with the first `size` bytes of a file; without any, the file may be missing."""
    digest = hashlib.sha256()
    if size:
        with path.open("rb") as file:
            while size and (chunk := file.read(min(CHUNK, size))):
                digest.update(chunk)
                size -= len(chunk)
    return digest


def _reason(error: Exception) -> str:
    """What went wrong, in the words of whoever noticed it first."""
    cause = error.reason if isinstance(error, URLError) else error
    return str(getattr(cause, "strerror", None) or cause) or type(cause).__name__

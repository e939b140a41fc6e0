"""Runs convwise as a user does, in processes of its own, and makes small folders of photos."""

import hashlib
import json
import os
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

LONG = 300  # seconds after which a process counts as hanging; nothing here takes a tenth of it


@dataclass(frozen=True)
class Done:
    """A process that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, which must be one JSON value and nothing else."""
        return json.loads(self.out)

    def ends(self, code: int) -> "Done":
        """Check the exit code, and that an error is one line, without a traceback."""
        self.ends_somehow(code)
        assert code == 0 or self.message, self.err
        return self

    def ends_somehow(self, *codes: int) -> "Done":
        """Check the exit code alone, and that there is no traceback."""
        assert self.code in codes, f"exit {self.code}, expected {codes}\n{self.out[-2000:]}\n{self.err[-4000:]}"
        assert "Traceback" not in self.err
        return self

    @property
    def message(self) -> str:
        """The one line that says what went wrong."""
        lines = [line for line in self.err.splitlines() if line.startswith("convwise: ")]
        assert len(lines) <= 1, self.err
        return lines[0].removeprefix("convwise: ") if lines else ""


@dataclass(frozen=True)
class Convwise:
    """The command line in one working folder with one cache."""

    cwd: Path
    cache: Path
    environment: dict[str, str] = field(default_factory=dict)

    def start(self, *arguments: object, **popen: Any) -> "subprocess.Popen[bytes]":
        """Begin a process."""
        return self.start_python("-m", "convwise", *arguments, **popen)

    def start_python(self, *arguments: object, **popen: Any) -> "subprocess.Popen[bytes]":
        """Begin a process of this Python with the same environment."""
        command = [sys.executable, *(a if isinstance(a, bytes) else str(a) for a in arguments)]
        streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        environment = os.environ | {"CONVWISE_CACHE": str(self.cache), "PYTHONIOENCODING": "utf-8"} | self.environment
        return subprocess.Popen(command, cwd=self.cwd, env=environment, **(streams | popen))

    def __call__(self, *arguments: object, **popen: Any) -> Done:
        """Run to the end."""
        return finish(self.start(*arguments, **popen))

    def python(self, *arguments: object, **popen: Any) -> Done:
        """Run Python to the end."""
        return finish(self.start_python(*arguments, **popen))

    def fit(self, data: Path | str, out: Path | str, *options: object, **popen: Any) -> Done:
        """`convwise fit` as a script would call it."""
        return self("fit", data, "--out", out, "--json", "--quiet", *options, **popen)


def finish(process: "subprocess.Popen[bytes]") -> Done:
    """Wait for a process; one that hangs is killed and fails the test."""
    try:
        out, err = process.communicate(timeout=LONG)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"hangs: {process.args!r}\n{(err or b'').decode('utf-8', 'replace')}") from None
    return Done(process.returncode, *((stream or b"").decode("utf-8", "surrogateescape") for stream in (out, err)))


def wait_for(process: "subprocess.Popen[bytes]", condition: Callable[[], bool]) -> None:
    """Wait until something is so; the process must still run then."""
    end = time.monotonic() + LONG
    while not condition():
        assert process.poll() is None, finish(process)
        assert time.monotonic() < end
        time.sleep(0.003)


def stop_when(process: "subprocess.Popen[bytes]", condition: Callable[[], bool], how: signal.Signals) -> Done:
    """Send a signal as soon as something is so."""
    wait_for(process, condition)
    process.send_signal(how)
    return finish(process)


def picture(kind: int, seed: int, side: int = 64) -> NDArray[np.uint8]:
    """A disc, stripes or a chessboard in two random colours, with some noise; uint8 (side, side, 3)."""
    rng = np.random.default_rng((kind, seed, side))
    y, x = np.mgrid[:side, :side] / side
    phase, count = rng.uniform(0, 6), rng.uniform(6, 9)
    shape = (
        np.hypot(x - rng.uniform(0.4, 0.6), y - rng.uniform(0.4, 0.6)) < rng.uniform(0.2, 0.35),
        np.sin(x * count * 2 * np.pi + phase) > 0,
        (np.sin(x * count * np.pi + phase) > 0) ^ (np.sin(y * count * np.pi + phase) > 0),
    )[kind]
    colours = rng.permuted([rng.integers(0, 100, 3), rng.integers(150, 256, 3)], axis=0)
    pixels = np.where(shape[..., None], colours[0], colours[1]) + rng.normal(0, 10, (side, side, 3))
    levels: NDArray[np.uint8] = pixels.clip(0, 255).astype(np.uint8)
    return levels


def write_photos(folder: Path, kind: int, count: int, *, first: int = 0, side: int = 64) -> list[Path]:
    """Write JPEG files `<n>.jpg` of one kind into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{n}.jpg" for n in range(first, first + count)]
    for n, path in enumerate(paths, first):
        Image.fromarray(picture(kind, n, side)).save(path, quality=90)
    return paths


def write_folder(root: Path, classes: Sequence[str] = ("disc", "stripes"), count: int = 10, side: int = 64) -> Path:
    """Write a flat folder of classes that are easy to tell apart."""
    for kind, name in enumerate(classes):
        write_photos(root / name, kind, count, side=side)
    return root


def huge_png(side: int = 20_000) -> bytes:
    """A black 1-bit PNG of `side` x `side` pixels, made without ever holding them."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    pack = zlib.compressobj(9)
    row = bytes(1 + side // 8)
    data = b"".join([*(pack.compress(row) for _ in range(side)), pack.flush()])
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def sha256(path: Path) -> str:
    """Hash of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def weights_hash(run: Path) -> str:
    """Hash of the weights of a finished run."""
    return sha256(run / "classifier" / "weights.safetensors")


def cached_rows(cache: Path) -> list[bytes]:
    """Content hashes of all rows in a cache, one for each row that was computed and kept."""
    found: list[bytes] = []
    for segment in sorted((cache / "rows").glob("*/*.npz")):
        with np.load(segment) as file:
            found += [row.tobytes() for row in file["contents"]]
    return found


def checkpoint_steps(run: Path, training: str) -> list[int]:
    """Steps of the checkpoints that a training has in the unfinished run that is to be `run`."""
    found = run.with_name(f"{run.name}.partial").glob(f"checkpoints/{training}/[0-9]*.safetensors")
    return sorted(int(path.name[:10]) for path in found)


def in_child(setup: str) -> str:
    """Code for `python -c` that does something to its own process and is `convwise` from then on."""
    return f"{setup}\nfrom convwise.cli import main\nmain()"


@dataclass(frozen=True)
class Disk:
    """A small file system in memory; `mount` needs root on Linux."""

    place: Path

    def mount(self, *options: str) -> bool:
        """Mount it, or change it, with options such as "size=20m"; False where that is not allowed."""
        command = ["mount", "-t", "tmpfs", "-o", ",".join(["size=1m", *options]), "tmpfs", str(self.place)]
        try:
            return subprocess.run(command, check=False, capture_output=True).returncode == 0
        except FileNotFoundError:
            return False

    def change(self, *options: str) -> None:
        """Change its size, or make it read-only ("ro")."""
        subprocess.run(["mount", "-o", ",".join(["remount", *options]), str(self.place)], check=True)

    def unmount(self) -> None:
        """Take it away with all that is on it."""
        subprocess.run(["umount", "-l", str(self.place)], check=True)

    def fill(self, leave: int) -> Path:
        """Write a file so large that only about `leave` bytes stay free; returns it."""
        stat = os.statvfs(self.place)
        path = self.place / "filler"
        path.write_bytes(bytes(max(0, stat.f_bavail * stat.f_frsize - leave)))
        return path

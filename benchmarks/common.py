"""What all benchmarks share: data, child processes and what they cost, and the one JSON line that each prints."""

import argparse
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, NoReturn

from convwise.data.threads import usable_cpus
from convwise.runtime.session import cpu_name

HERE = Path(__file__).parent
CONVWISE = [str(Path(sys.executable).with_name("convwise"))]
DATA_VARIABLE = "CONVWISE_TEST_DATA"
ARCHIVES = {"ants_bees": "ants_bees.tar", "cifar10": "cifar10.tar.gz"}
PACKAGES = ("convwise", "torch", "torchvision", "timm", "fvcore", "cleanlab", "onnxruntime", "numpy", "pillow",
            "opencv-python-headless", "albumentations")  # fmt: skip
# A user's shell has none of these: no byte code would be kept, and the BLAS would be tuned for another processor.
UNUSUAL = ("PYTHONDONTWRITEBYTECODE", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


@dataclass(frozen=True)
class Cost:
    """What a child process cost.

    Attributes:
        wall_seconds: from start to end.
        user_seconds, system_seconds: of the process and all its children.
        peak_bytes: largest resident memory of any of these processes.
        out: what it printed.
    """

    wall_seconds: float
    user_seconds: float
    system_seconds: float
    peak_bytes: int
    out: str

    @property
    def cpu_seconds(self) -> float:
        """User and system time together."""
        return self.user_seconds + self.system_seconds

    @property
    def result(self) -> dict[str, Any]:
        """The JSON object that it printed last."""
        record: dict[str, Any] = json.loads(self.out[self.out.index("{") :])
        return record


@dataclass(frozen=True)
class Row:
    """A line of the README's table; `floor` is what is promised, `met` whether this run kept it (None: no promise)."""

    what: str
    convwise: str
    peer: str = ""
    ratio: str = ""
    floor: str = ""
    met: bool | None = None


def parser(description: str | None) -> argparse.ArgumentParser:
    """Make the parser of a benchmark; its help is the script's docstring."""
    return argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)


def child_environment(**variables: str | Path) -> dict[str, str]:
    """Environment of a child process, the peer's too: its OpenMP threads sleep while they wait, unless told otherwise.

    On a busy machine spinning threads would make the peer several times slower; on an idle one sleep costs it a little.
    """
    kept = {name: value for name, value in os.environ.items() if name not in UNUSUAL}
    return {"OMP_WAIT_POLICY": "PASSIVE"} | kept | {name: str(value) for name, value in variables.items()}


def start(command: Sequence[str], environment: dict[str, str], out: Any) -> "subprocess.Popen[bytes]":
    """Start a child in a group of its own, so that it can be killed with its children."""
    return subprocess.Popen(command, env=environment, stdout=out, start_new_session=True)


def run(command: Sequence[str | Path], environment: dict[str, str]) -> Cost:
    """Run a child to its end and measure it.

    Raises:
        RuntimeError: it failed.
    """
    with tempfile.TemporaryFile() as out:
        begun = time.perf_counter()
        child = start([str(part) for part in command], environment, out)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - begun
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        text = out.read().decode()
    if child.returncode:
        raise RuntimeError(f"exit code {child.returncode} from {shlex.join(map(str, command))}")
    kilobytes = usage.ru_maxrss / (1024 if sys.platform == "darwin" else 1)  # macOS counts bytes
    return Cost(wall, usage.ru_utime, usage.ru_stime, int(kilobytes * 1024), text)


def median(costs: Sequence[Cost], field: str) -> float:
    """Median of one field of several runs."""
    return statistics.median(float(getattr(cost, field)) for cost in costs)


def unpack(name: str, folder: Path, claim: str, images: int | None = None) -> Path:
    """Unpack the images `name`, or an evenly spaced part of them, into `folder`; without them, skip the claim."""
    root = os.environ.get(DATA_VARIABLE)
    if not root:
        skip(claim, f"set {DATA_VARIABLE} to the folder that holds {ARCHIVES[name]}")
    archive = Path(root, ARCHIVES[name])
    if not archive.is_file():
        skip(claim, f"{DATA_VARIABLE} holds no {ARCHIVES[name]}")
    with tarfile.open(archive) as tar:
        files = sorted((member for member in tar if member.isfile()), key=lambda member: member.name)
        if images is not None:
            files = [files[i * len(files) // images] for i in range(images)]
        tar.extractall(folder, files, filter="data")
    return folder / name


def skip(claim: str, reason: str) -> NoReturn:
    """Say why nothing is measured, and end without an error."""
    print(json.dumps({"claim": claim, "skipped": reason}))
    sys.exit(0)


def report(
    claim: str, rows: Sequence[Row], *, ours: dict[str, Any], peer: dict[str, Any] | None, ratio: dict[str, float],
    n: int, repetitions: dict[str, int], threads: int | None = None, device: str | None = None,
) -> None:  # fmt: skip
    """Print the measured claim: numbers, what they were measured on, and how to measure them again.

    Args:
        claim: name of the script.
        rows: lines of the README's table.
        ours: numbers of convwise, units in their names.
        peer: numbers of the peer; None where the claim has none.
        ratio: peer's cost over ours, or ours over the peer's speed: above 1 is in our favour.
        n: images.
        repetitions: runs behind each median.
        threads: of convwise and of the peer; None: one a processor.
        device: what did the work; None: the processor.
    """
    record = {
        "claim": claim,
        "ours": ours,
        "peer": peer,
        "ratio": ratio,
        "n": n,
        "repetitions": repetitions,
        "rows": [vars(row) for row in rows],
        "versions": {"python": platform.python_version(), **_versions()},
        "device": device or cpu_name(),
        "cpus": usable_cpus(),
        "threads": threads or usable_cpus(),
        "omp_wait_policy": child_environment()["OMP_WAIT_POLICY"],
        "command": shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "date": time.strftime("%Y-%m-%d"),
    }
    print(json.dumps(rounded(record)))


def rounded(value: Any) -> Any:
    """Round every float to four significant digits, inside dictionaries and lists."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found

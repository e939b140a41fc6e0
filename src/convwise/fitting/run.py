"""A finished run, and whether a folder may hold one."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..classifier import Classifier, load
from ..errors import DataError, UsageError
from .options import Options

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        path: its folder.
        record: what `run.json` holds; `record["result"]` has top1, top1_low, top1_high, n, split, macs, params,
            latency_ms, seconds and path.
    """

    path: Path
    record: dict[str, Any]

    @property
    def result(self) -> dict[str, Any]:
        """The figures of the run."""
        result: dict[str, Any] = self.record["result"]
        return result

    @property
    def classifier(self) -> Classifier:
        """The classifier, loaded."""
        return load(self.path)

    @property
    def report(self) -> Path:
        """The page."""
        return self.path / "report.html"

    @classmethod
    def read(cls, path: Path) -> "Run":
        """Read a finished run.

        Raises:
            DataError: there is none.
        """
        record = read_record(path)
        if not isinstance(record.get("result"), dict):
            raise DataError(f"{str(path)!r} is not the folder of a finished run: it has no whole run.json")
        return cls(path, record)


def read_record(folder: Path) -> dict[str, Any]:
    """What the run in a folder has noted; empty when there is none of this version."""
    try:
        record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    ours = isinstance(record, dict) and record.get("schema_version") == SCHEMA_VERSION
    return record if ours else {}


def difference(record: Mapping[str, Any], data: Path, options: Options) -> str:
    """Name the first thing with which a run was begun otherwise than now; empty when there is none."""
    if record.get("data") != os.path.abspath(data):
        return f"data {record.get('data')!r}"
    return options.difference(record.get("options", {}))


def check_free(out: Path, data: Path, options: Options, *, resume: bool, overwrite: bool) -> Run | None:
    """Look at the output folder before anything is done; with `resume`, this very run is returned if it is finished.

    Raises:
        UsageError: the folder is used, or holds a run of other data or options.
    """
    if not os.path.exists(out):  # Path.exists raises for a name that is too long
        return None
    if not out.is_dir():
        raise UsageError(f"output folder {str(out)!r} is a file; choose another --out")
    if not any(out.iterdir()):
        return None
    try:
        run = Run.read(out)
    except DataError:
        raise UsageError(f"output folder {str(out)!r} holds other files and no run; choose another --out") from None
    if overwrite:
        return None
    if not resume:
        raise UsageError(
            f"output folder {str(out)!r} is already used; choose another --out, --resume to see its result, "
            "or --overwrite to replace it"
        )
    if changed := difference(run.record, data, options):
        raise UsageError(
            f"output folder {str(out)!r} holds a run with {changed}; "
            "give the same options to see it, --overwrite to replace it, or choose another --out"
        )
    return run

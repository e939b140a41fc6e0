"""The folder of a run: begun aside, continued after an interruption, renamed when it is whole."""

import itertools
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ..classifier import Classifier, load
from ..errors import BudgetError, DataError, MachineError, UsageError
from ..runtime.cache import write_aside
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
        try:
            record = json.loads((path / "run.json").read_text(encoding="utf-8"))
            return cls(path, record) if record["result"] else cls._missing(path)
        except (OSError, ValueError, KeyError):
            return cls._missing(path)

    @classmethod
    def _missing(cls, path: Path) -> "Run":
        raise DataError(f"{str(path)!r} is not the folder of a finished run: it has no whole run.json")


class Draft:
    """A run under way, in `<out>.partial`, locked; what it has measured and chosen is in `run.json` at once."""

    def __init__(self, out: Path) -> None:
        """Lock the folder.

        Raises:
            Timeout: another process has it.
            UsageError: it holds other files.
        """
        self.out, self.folder = out, out.with_name(out.name + ".partial")
        self.folder.mkdir(parents=True, exist_ok=True)
        _check_ours(self.folder)
        self.lock = FileLock(self.folder / "lock")
        self.lock.acquire(timeout=0)
        self.record = _read(self.folder)

    def begin(self, record: dict[str, Any]) -> None:
        """Empty the folder and begin anew."""
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != "lock":
                path.unlink()
        self.record = {"schema_version": SCHEMA_VERSION, **record}
        self._write()

    def note(self, key: str, value: Any) -> None:
        """Keep something that was measured or chosen."""
        self.record[key] = value
        self._write()

    def finish(self, result: dict[str, Any]) -> Run:
        """Write the result and give the folder its name."""
        self.note("result", result)
        self.lock.release()  # before the rename: Windows moves no folder that has an open file
        (self.folder / "lock").unlink(missing_ok=True)
        if self.out.is_dir():  # an empty folder is as good as none
            self.out.rmdir()
        os.replace(self.folder, self.out)
        return Run(self.out, self.record)

    def discard(self) -> None:
        """Leave nothing behind of a run that cannot be."""
        self.lock.release()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write(self) -> None:
        write_aside(self.folder / "run.json", json.dumps(self.record, indent=1).encode())


@contextmanager
def open_draft(out: Path | None, data: Path, options: Options, *, overwrite: bool, command: str) -> Iterator[Draft]:
    """Begin a run, or go on with an interrupted one of the same options; one process at a time.

    A run that fails by its data or budget leaves nothing; one that was interrupted, or for which the disk gave out,
    stays to go on from.

    Raises:
        UsageError: the folder holds an unfinished run of other options, or another process writes it.
        MachineError: the folder cannot be written.
    """
    with run_errors():
        draft = _named(out, data, options, overwrite) if out else _numbered(data, options)
        if not draft.record or _change(draft.record, data, options):
            draft.begin({"command": command, "data": os.path.abspath(data), "options": options.to_json()})
    try:
        yield draft
    except (DataError, BudgetError, UsageError):
        draft.discard()
        raise
    finally:
        draft.lock.release()


def _named(out: Path, data: Path, options: Options, overwrite: bool) -> Draft:
    try:
        draft = Draft(out)
    except Timeout:
        raise UsageError(
            f"output folder {str(out)!r} is being written by another convwise; wait, or choose another --out"
        ) from None
    changed = _change(draft.record, data, options)
    if changed and not overwrite:
        draft.lock.release()
        raise UsageError(
            f"output folder {str(out)!r} holds an unfinished run with {changed}; "
            "give the same options to go on with it, --overwrite to begin anew, or another --out"
        )
    return draft


def _numbered(data: Path, options: Options) -> Draft:
    """The first free `runs/<n>`, or the first unfinished one that is this very run."""
    for number in itertools.count(1):
        out = Path("runs", str(number))
        if out.exists():
            continue
        try:
            draft = Draft(out)
        except Timeout:
            continue
        if not _change(draft.record, data, options):
            return draft
        draft.lock.release()
    raise AssertionError


@contextmanager
def run_errors() -> Iterator[None]:
    """Turn a failing disk into the error that says what is kept.

    Raises:
        MachineError: any OSError inside.
    """
    try:
        yield
    except OSError as error:
        where = f" {str(error.filename)!r}" if error.filename else ""
        raise MachineError(
            f"the run could not be written{where}: {error.strerror or error}; computed features are kept in the cache. "
            "Free some space or choose another --out, and repeat the command"
        ) from error


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
    finished = (out / "run.json").is_file()
    if resume and finished:
        run = Run.read(out)
        if changed := _change(run.record, data, options):
            raise UsageError(
                f"output folder {str(out)!r} holds a run with {changed}; "
                "give the same options to see it, --overwrite to replace it, or choose another --out"
            )
        return run
    if not overwrite:
        raise UsageError(
            f"output folder {str(out)!r} is already used; choose another --out"
            + (", --resume to see its result, or --overwrite to replace it" if finished else ", or --overwrite")
        )
    if not finished:
        raise UsageError(
            f"output folder {str(out)!r} holds other files and no run; "
            "--overwrite replaces runs only, choose another --out"
        )
    return None


def remove_finished(out: Path) -> None:
    """Delete the run that `--overwrite` replaces."""
    if out.exists():
        shutil.rmtree(out)


def _check_ours(folder: Path) -> None:
    """Check that a `.partial` folder is one of ours before anything in it is deleted."""
    others = [path.name for path in folder.iterdir() if path.name != "lock" and not path.name.startswith(".tmp-")]
    if others and "schema_version" not in _read(folder):
        raise UsageError(
            f"folder {str(folder)!r} holds other files ({others[0]!r}) and no unfinished run; "
            "move it, or choose another --out"
        )


def _read(folder: Path) -> dict[str, Any]:
    """What an interrupted run has noted; empty when there is none."""
    try:
        record: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record


def _change(record: dict[str, Any], data: Path, options: Options) -> str:
    """What an unfinished run was begun with, where that differs from now."""
    if not record:
        return ""
    if record.get("data") != os.path.abspath(data):
        return f"data {record.get('data')!r}"
    return options.difference(record.get("options", {}))

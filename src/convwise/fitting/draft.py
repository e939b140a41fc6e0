"""A run under way: begun aside, continued after an interruption, renamed when it is whole."""

import glob
import itertools
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ..errors import ConvwiseError, DivergedError, MachineError, UsageError
from ..runtime.cache import write_aside
from .options import Options
from .run import SCHEMA_VERSION, Run, difference, read_record

BEGUN = {"schema_version", "command", "data", "options"}  # what a record holds from the start
CHECKPOINTS = "checkpoints"


@contextmanager
def run_errors() -> Iterator[None]:
    """Turn a failing disk into the error that says what is kept.

    Raises:
        MachineError: any OSError inside.
    """
    try:
        yield
    except OSError as error:
        where = f"{str(error.filename)!r}: " if error.filename else ""
        raise MachineError(
            f"the run could not be written: {where}{error.strerror or error}; computed features are kept in the cache. "
            "Free some space or choose another --out, and repeat the command"
        ) from error


class Draft:
    """A run under way, in `<out>.partial`; what it has measured and chosen is in `run.json` at once.

    `<out>.partial.lock` stands beside the folder, so that it is held until the folder has its name.
    """

    def __init__(self, out: Path) -> None:
        """Lock the folder.

        Raises:
            Timeout: another process has it.
            UsageError: it holds other files.
        """
        self.out, self.folder = out, out.with_name(f"{out.name}.partial")
        out.parent.mkdir(parents=True, exist_ok=True)
        self._lock_file = out.with_name(f"{out.name}.partial.lock")
        self._lock = FileLock(self._lock_file)
        self._lock.acquire(timeout=0)
        if not _is_ours(self.folder):
            self.release()
            raise UsageError(
                f"folder {str(self.folder)!r} holds other files and no unfinished run; move it, or choose another --out"
            )
        self.record = read_record(self.folder)

    def begin(self, record: dict[str, Any]) -> None:
        """Empty the folder and begin anew."""
        self.folder.mkdir(exist_ok=True)
        self.record = {"schema_version": SCHEMA_VERSION, **record}
        self._write()  # first, so that the folder says whose it is, whenever this is killed
        for path in self.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != "run.json":
                path.unlink()

    @run_errors()
    def note(self, key: str, value: Any) -> None:
        """Keep something that was measured or chosen.

        Raises:
            MachineError: it cannot be written.
        """
        self.record[key] = value
        self._write()

    def checkpoints(self, network: str) -> Path:
        """Folder of the checkpoints of a network's training."""
        return self.folder / CHECKPOINTS / network

    def finish(self, result: dict[str, Any], *, overwrite: bool) -> Run:
        """Write the result and give the folder its name.

        Only then go the checkpoints, and a run that it replaces: whatever fails before costs no training.

        Raises:
            UsageError: something was put there meanwhile.
        """
        self.note("result", result)
        replaced = self.out.with_name(f"{self.out.name}.replaced-{os.getpid()}")
        if self.out.exists():
            if not overwrite and any(self.out.iterdir()):
                raise UsageError(
                    f"output folder {str(self.out)!r} was written by others meanwhile; choose another --out"
                )
            os.replace(self.out, replaced)
        os.replace(self.folder, self.out)
        shutil.rmtree(self.out / CHECKPOINTS, ignore_errors=True)
        for old in self.out.parent.glob(f"{glob.escape(self.out.name)}.replaced-*"):  # ours, and what a kill left
            shutil.rmtree(old, ignore_errors=True)
        return Run(self.out, self.record)

    def discard(self) -> None:
        """Leave nothing behind of a run that cannot be."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def release(self) -> None:
        """Let others have the place."""
        with suppress(OSError):  # Windows deletes no open file; an empty one may stay
            self._lock_file.unlink()  # whoever has just opened it finds out: filelock takes no lock on a deleted file
        self._lock.release()

    def _write(self) -> None:
        write_aside(self.folder / "run.json", json.dumps(self.record, indent=1).encode())


@contextmanager
def open_draft(out: Path | None, data: Path, options: Options, *, overwrite: bool, command: str) -> Iterator[Draft]:
    """Begin a run, or go on with an interrupted one of the same options; one process at a time.

    An interrupted run stays to go on from, and so does one that fails when it has trained; one that fails by its data
    or budget before leaves nothing, nor does one for which network or disk gave out before it had noted anything.

    Raises:
        UsageError: the folder holds an unfinished run of other options, or another process writes it.
        MachineError: the folder cannot be written.
    """
    with run_errors():
        draft = _named(out, data, options, overwrite) if out else _numbered(data, options)
        if not draft.record or difference(draft.record, data, options):
            draft.begin({"command": command, "data": os.path.abspath(data), "options": options.to_json()})
    try:
        yield draft
    except ConvwiseError as error:
        if not _worth_keeping(draft, error):
            draft.discard()
        raise
    finally:
        draft.release()


def _worth_keeping(draft: Draft, error: ConvwiseError) -> bool:
    """Whether there is something to go on from after an error; where every training diverged, there is not."""
    if isinstance(error, DivergedError):
        return False
    if isinstance(error, MachineError) and draft.record.keys() - BEGUN:
        return True
    return "result" in draft.record or any((draft.folder / CHECKPOINTS).glob("*/*.safetensors"))


def _is_ours(folder: Path) -> bool:
    """Whether all in a `.partial` folder may be deleted: it is empty but for what a kill left, or has noted a run."""
    if not folder.exists() or all(path.name.startswith(".tmp-") for path in folder.iterdir()):
        return True
    return "options" in read_record(folder)


def _named(out: Path, data: Path, options: Options, overwrite: bool) -> Draft:
    try:
        draft = Draft(out)
    except Timeout:
        raise UsageError(
            f"output folder {str(out)!r} is being written by another convwise; wait, or choose another --out"
        ) from None
    changed = difference(draft.record, data, options) if draft.record else ""
    if changed and not overwrite:
        draft.release()
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
        except (Timeout, UsageError):
            continue
        if not out.exists() and not (draft.record and difference(draft.record, data, options)):
            return draft  # nobody has finished it between the look and the lock
        draft.release()
    raise AssertionError

"""Files that commands write: pictures and tables; none is replaced unless that is asked for."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated

from typer import Option

Overwrite = Annotated[bool, Option("--overwrite", help="Replace the file of --csv.")]


def check_picture(file: Path, option: str, suffix: str, *, overwrite: bool) -> None:
    """Refuse a file that could not be written, before anything is drawn.

    Raises:
        UsageError: another suffix, no such folder, or a file that is there and may not be replaced.
    """
    from ..errors import UsageError

    if file.suffix.lower() != suffix:
        raise UsageError(f"{option} must end in {suffix}, got {str(file)!r}")
    _check_place(file, option, overwrite=overwrite)


def check_table(csv: Path | None, *, overwrite: bool) -> None:
    """Refuse a table that could not be written, before anything is read; `-` and devices are no files to replace.

    Raises:
        UsageError: no such folder, or a file that is there and may not be replaced; or there is nothing to replace.
    """
    from ..errors import UsageError

    if csv is None or str(csv) == "-":
        if overwrite:
            raise UsageError("overwrite has no effect without a file of --csv; leave it out, or name one")
        return
    _check_place(csv, "csv", overwrite=overwrite)


def _check_place(file: Path, option: str, *, overwrite: bool) -> None:
    from ..errors import UsageError

    if not file.parent.is_dir():
        raise UsageError(f"--{option} {str(file)!r} cannot be written: there is no folder {str(file.parent)!r}")
    if file.is_file() and not overwrite:
        raise UsageError(_there(file, option))


@contextmanager
def open_table(csv: Path, *, overwrite: bool) -> Iterator[IO[str]]:
    """Open a table that is written row by row; one that it replaces stays until the last row is there.

    Raises:
        UsageError: it cannot be written, or has come to be there and may not be replaced.
    """
    from ..errors import UsageError
    from ..runtime.cache import temporary

    target = csv.resolve()  # what a link points to is replaced, not the link
    device = target.exists() and not target.is_file()  # takes rows as they come
    hidden = temporary(target.parent) if overwrite and not device else None
    try:
        file = (hidden or target).open("w" if device else "x", encoding="utf-8", errors="backslashreplace", newline="")
    except FileExistsError as error:
        raise UsageError(_there(csv, "csv")) from error
    except OSError as error:
        raise UsageError(f"--csv {str(csv)!r} cannot be written: {error.strerror}") from error
    try:
        with file:
            yield file
        if hidden:
            os.replace(hidden, target)
    except BaseException:
        if hidden:
            hidden.unlink(missing_ok=True)
        raise


def _there(file: Path, option: str) -> str:
    return f"--{option} {str(file)!r} exists already; give --overwrite to replace it, or another file"


def write_picture(file: Path, option: str, data: bytes) -> None:
    """Write it whole or not at all.

    Raises:
        UsageError: it cannot be written.
    """
    from ..errors import UsageError
    from ..runtime.cache import write_aside

    try:
        write_aside(file, data)
    except OSError as error:
        raise UsageError(f"--{option} {str(file)!r} cannot be written: {error.strerror or error}") from error

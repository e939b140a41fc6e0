"""Files of pictures that commands draw."""

from pathlib import Path


def check_picture(file: Path, option: str, suffix: str, *, overwrite: bool) -> None:
    """Refuse a file that could not be written, before anything is drawn.

    Raises:
        UsageError: another suffix, no such folder, or a file that is there and may not be replaced.
    """
    from ..errors import UsageError

    if file.suffix.lower() != suffix:
        raise UsageError(f"{option} must end in {suffix}, got {str(file)!r}")
    if not file.parent.is_dir():
        raise UsageError(f"--{option} {str(file)!r} cannot be written: there is no folder {str(file.parent)!r}")
    if file.exists() and not overwrite:
        raise UsageError(f"--{option} {str(file)!r} exists already; give --overwrite to replace it, or another file")


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

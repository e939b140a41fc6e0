"""`convwise predict`."""

import contextlib
import json as json_module
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

from typer import Argument, Exit, Option

from ..data.text import counted
from .files import Overwrite, check_table, open_table
from .output import Json, Quiet, Threads, say, thread_count

if TYPE_CHECKING:
    from ..classifier import Prediction


CSV_HEADER = ("path", "label", "prob", "probs", "error")


def predict(
    classifier: Annotated[Path, Argument(metavar="CLASSIFIER", help="Folder of a run or of a classifier.")],
    paths: Annotated[list[Path], Argument(metavar="PATH ...", help="Image files, or folders of them.")],
    csv: Annotated[
        Path | None, Option(metavar="FILE", help="Write path, label, prob, probs, error as CSV; - is stdout.")
    ] = None,
    overwrite: Overwrite = False,
    heatmaps: Annotated[
        Path | None, Option(metavar="DIR", help="Draw what in each photo speaks for its class, as PNG in a new DIR.")
    ] = None,
    threads: Threads = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Classify images, one row each, in the order given.

    A file that cannot be used is a row with an error; when every one is, the exit code is 3.
    """
    from ..classifier import load
    from ..errors import UsageError

    if csv and json:
        raise UsageError("--csv and --json exclude each other; give one of them")
    check_table(csv, overwrite=overwrite)
    count = thread_count(threads)
    loaded = load(classifier)
    failed = total = 0
    with contextlib.ExitStack() as stack:  # whose end is the threads' too, before one of them could clean up after us
        predictions = stack.enter_context(contextlib.closing(loaded.predict_iter(_files(paths), threads=count)))
        rows: Iterable[tuple[Prediction, Path | None]] = ((prediction, None) for prediction in predictions)
        if heatmaps:
            from ..evaluation.heat_maps import draw

            _make_folder(heatmaps, paths)
            rows = draw(loaded, predictions, heatmaps, threads=count)
        write = _writer(stack, csv, json, bool(heatmaps), overwrite=overwrite)
        for prediction, picture in rows:
            write(prediction, picture)
            total, failed = total + 1, failed + bool(prediction.error)
    if csv and str(csv) != "-" and not quiet:
        say(f"{csv}: {counted(total, 'row')}")
    if failed and not quiet:
        sys.stderr.write(f"{failed} of {total} could not be classified; their rows say why\n")
    if failed == total:
        raise Exit(3)


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    """The files named, and the images below the folders named, in natural order."""
    from ..data.formats import FORMATS
    from ..data.samples import natural_key

    for path in paths:
        if not os.path.isdir(path):  # Path.is_dir raises for a name that is too long
            yield path
            continue
        found = 0
        for folder, folders, names in os.walk(path):
            folders[:] = sorted((name for name in folders if not name.startswith(".")), key=natural_key)
            for name in sorted(names, key=natural_key):
                if not name.startswith(".") and Path(name).suffix.lower() in FORMATS:
                    found += 1
                    yield Path(folder, name)
        if not found:
            yield path  # a row with an error: nothing that was named goes without an answer


def _make_folder(folder: Path, paths: Iterable[Path]) -> None:
    """Make the folder for the heat maps.

    Raises:
        UsageError: it holds files, lies among the images, or cannot be made.
    """
    from ..errors import UsageError

    inside = os.path.join(os.path.realpath(folder), "")
    for path in paths:
        if os.path.isdir(path) and inside.startswith(os.path.join(os.path.realpath(path), "")):
            raise UsageError(
                f"--heatmaps {str(folder)!r} lies in {str(path)!r}, whose images are classified; name another folder"
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        used = any(folder.iterdir())
    except OSError as error:
        raise UsageError(f"--heatmaps {str(folder)!r} cannot be made: {error.strerror}; name another folder") from error
    if used:
        raise UsageError(f"--heatmaps {str(folder)!r} holds files already; name a new folder")


class _Writer:
    """Writes predictions one by one, with their heat maps where there are such."""

    def __init__(self, file: IO[str], heatmaps: bool) -> None:
        self.file, self.heatmaps = file, heatmaps

    def __call__(self, prediction: "Prediction", picture: Path | None) -> None:
        from ..data.text import visible

        p = prediction
        answer = f"error: {p.error}" if p.error else f"{p.label}  {100 * p.prob:.1f} %"
        answer += f"  {picture}" if picture else ""
        self.file.write(f"{visible(p.path)}  {visible(answer)}\n")
        self.file.flush()


class _CsvWriter(_Writer):
    def __call__(self, prediction: "Prediction", picture: Path | None) -> None:
        from ..data.text import write_rows

        p = prediction
        probs = json_module.dumps(_short(p.probs), ensure_ascii=False) if p.probs else None
        more = [str(picture) if picture else None] if self.heatmaps else []
        write_rows(self.file, [[p.path, p.label, None if p.error else p.prob, probs, p.error, *more]])


class _JsonWriter(_Writer):
    def __init__(self, file: IO[str], heatmaps: bool) -> None:
        super().__init__(file, heatmaps)
        self.separator = '{"predictions": ['

    def __call__(self, prediction: "Prediction", picture: Path | None) -> None:
        p = prediction
        row: dict[str, Any] = {"path": p.path, "label": p.label or None, "prob": None if p.error else p.prob}
        row |= {"probs": _short(p.probs) or None, "error": p.error or None}
        row |= {"heatmap": str(picture) if picture else None} if self.heatmaps else {}
        self.file.write(f"{self.separator}\n{json_module.dumps(row)}")
        self.separator = ","

    def close(self) -> None:
        """End the object."""
        self.file.write("\n]}\n" if self.separator == "," else f"{self.separator}]}}\n")


def _writer(
    stack: contextlib.ExitStack, csv: Path | None, json: bool, heatmaps: bool, *, overwrite: bool
) -> _Writer:  # fmt: skip
    from ..data.text import write_rows

    header = (*CSV_HEADER, *(["heatmap"] if heatmaps else []))
    if json:
        writer = _JsonWriter(sys.stdout, heatmaps)
        stack.callback(writer.close)
        return writer
    if csv is None:
        return _Writer(sys.stdout, heatmaps)
    if str(csv) == "-":
        write_rows(sys.stdout, [header])
        return _CsvWriter(sys.stdout, heatmaps)
    file = stack.enter_context(open_table(csv, overwrite=overwrite))
    write_rows(file, [header])
    return _CsvWriter(file, heatmaps)


def _short(probs: dict[str, float]) -> dict[str, float]:
    return {name: float(f"{p:.6g}") for name, p in probs.items()}

"""The main job: a folder of labelled images in, a proven classifier in the folder of a run out."""

import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..classifier import Classifier
from ..data.inputs import list_samples
from ..errors import UsageError
from ..progress import Track, silent
from ..runtime.latency import Latency, measure_latency
from .draft import Draft, open_draft, run_errors
from .members import price_members
from .options import Options
from .outcome import Outcome
from .run import Run, check_free
from .saving import save_fitted
from .task import Candidate, Fitted
from .work import make_outcome
from .write import write_run

__all__ = ["Options", "Run", "fit"]


def fit(
    data: str | os.PathLike[str], options: Options | None = None, *, out: str | os.PathLike[str] | None = None,
    resume: bool = False, overwrite: bool = False, command: str = "", track: Track = silent,
) -> Run:  # fmt: skip
    """Make a classifier from labelled images, and measure it.

    Args:
        data: folder with one sub-folder a class, or train, val and test folders of such; folder of IDX files; or CSV
            manifest.
        options: what is made and how.
        out: folder of the run; None takes the next `runs/<n>`. An interrupted run of the same options goes on.
        resume: return a run that is already finished there.
        overwrite: replace a run that is there.
        command: what the user typed, for the report.
        track: shows progress.

    Raises:
        UsageError: the output folder is used.
        DataError: the data cannot be used.
        BudgetError: no candidate fits the budget.
        MachineError: it needs more memory or disk than there is; or the disk gave out, or the network while weights
            were downloaded, and what was computed before stays in the cache.
    """
    start = time.monotonic()
    options, root = options or Options(), Path(data)
    target = None if out is None else _named(Path(out))
    _check_outside(target or Path("runs"), root)
    if target is not None and (finished := check_free(target, root, options, resume=resume, overwrite=overwrite)):
        return finished
    listing = list_samples(root)
    command = command or f"convwise.fit({str(data)!r}, {options})"
    with open_draft(target, root, options, overwrite=overwrite, command=command) as draft:
        outcome, chosen = make_outcome(listing, options, draft, track)
        with run_errors():
            outcome, classifier = _saved(draft, outcome, chosen, track)
            outcome = replace(outcome, seconds=time.monotonic() - start)
            result = write_run(draft.folder, draft.out, outcome, draft.record["command"], classifier)
            return draft.finish(result, overwrite=overwrite)


def _named(out: Path) -> Path:
    """The folder under a path that ends in a name, for `<name>.partial` beside it."""
    return out if out.name not in ("", "..") else Path(os.path.abspath(out))


def _check_outside(out: Path, data: Path) -> None:
    """Check that the run will not lie among the images, where the next `fit` would take it for a class.

    Raises:
        UsageError: it would.
    """
    inside, folder = os.path.realpath(out), os.path.realpath(data)
    if os.path.isdir(folder) and inside.startswith(os.path.join(folder, "")):
        raise UsageError(
            f"the run would be written into the data folder, as {str(out)!r}; "
            f"choose an --out that is not in {str(data)!r}"
        )


def _saved(
    draft: Draft, outcome: Outcome, chosen: tuple[Candidate, Fitted], track: Track
) -> tuple[Outcome, Classifier]:  # fmt: skip
    """Save the classifier, and measure what only a saved one shows: its milliseconds, and the prices of members."""
    classifier = save_fitted(
        draft.folder / "classifier", *chosen, outcome.roles, listing=outcome.listing, options=outcome.options,
        temperature=outcome.calibration.temperature.value,
    )  # fmt: skip
    outcome = replace(outcome, latency=_latency(draft, classifier))
    return replace(outcome, prices=price_members(classifier, outcome, track)), classifier


def _latency(draft: Draft, classifier: Classifier) -> Latency:
    """Measured once a run, on an image of noise."""
    if "latency" in draft.record:
        return Latency(**draft.record["latency"])
    pixels = np.random.default_rng(0).integers(0, 256, classifier.preprocessing.shape, np.uint8)
    latency = measure_latency(classifier.frozen, pixels)
    draft.note("latency", latency._asdict())
    return latency

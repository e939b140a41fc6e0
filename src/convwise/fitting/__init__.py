"""The main job: a folder of labelled images in, a proven classifier in the folder of a run out."""

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from .. import __version__
from ..classifier import Architecture, Classifier, save
from ..data.inputs import list_samples
from ..data.provenance import ImageSet, Provenance
from ..errors import UsageError
from ..progress import Track, silent
from ..runtime.latency import Latency, measure_latency
from .draft import Draft, open_draft, run_errors
from .options import Options
from .outcome import Outcome
from .run import Run, check_free
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
            classifier = _save(draft, outcome, chosen, options)
            outcome = replace(outcome, latency=_latency(draft, classifier), seconds=time.monotonic() - start)
            draft.drop_checkpoints()
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


def _save(draft: Draft, outcome: Outcome, chosen: tuple[Candidate, Fitted], options: Options) -> Classifier:
    candidate, fitted = chosen
    weights, graph = fitted.artefacts()
    samples, roles = np.array([s.sha256 for s in outcome.roles.samples]), outcome.roles
    chose = np.array([s.split in ("train", roles.chooses) for s in roles.samples]) & ~fitted.fitted_on
    provenance = Provenance(
        data=str(outcome.listing.root),
        split_seed=options.split_seed,
        trained_on=ImageSet.of(samples[fitted.fitted_on]),
        chosen_on=ImageSet.of(samples[chose]),
        convwise=__version__,
        weights=candidate.weights._asdict() if candidate.weights else None,
    )
    folder = draft.folder / "classifier"
    if folder.exists():  # an interrupted attempt
        shutil.rmtree(folder)
    return save(
        folder, network=_architecture(candidate, fitted), classes=outcome.roles.classes,
        preprocessing=fitted.preprocessing, cost=candidate.cost(len(outcome.roles.classes)), provenance=provenance,
        temperature=outcome.calibration.temperature.value, weights=weights, graph=graph,
    )  # fmt: skip


def _architecture(candidate: Candidate, fitted: Fitted) -> Architecture:
    rear, cut = fitted.rear or (None, None)
    return Architecture(candidate.network, fitted.arguments, cut, rear)


def _latency(draft: Draft, classifier: Classifier) -> Latency:
    """Measured once a run, on an image of noise."""
    if "latency" in draft.record:
        return Latency(**draft.record["latency"])
    pixels = np.random.default_rng(0).integers(0, 256, classifier.preprocessing.shape, np.uint8)
    latency = measure_latency(classifier.frozen, pixels)
    draft.note("latency", latency._asdict())
    return latency

"""The main job: a folder of labelled images in, a proven classifier in the folder of a run out."""

import os
import shutil
import time
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from ..classifier import Classifier, save
from ..data.inputs import list_samples
from ..data.provenance import ImageSet, Provenance
from ..data.roles import Roles, assign, check_splits, folds, held_out
from ..data.samples import Listing
from ..errors import DataError, UsageError
from ..metrics import Interval, at_temperature, fit_temperature, reliability, summary, wilson
from ..progress import Track, silent
from ..runtime.gather import gather
from ..runtime.jobs import Job
from ..runtime.latency import Latency, measure_latency
from ..runtime.room import has_room
from .candidates import make_candidates, within_time
from .draft import Draft, open_draft, run_errors
from .notes import say, say_resolution, say_unchecked
from .options import Options
from .outcome import Calibration, Outcome, Tried
from .run import Run, check_free
from .scratch_candidate import ScratchCandidate
from .second_look import look_again
from .task import Candidate, Fitted, Task
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
        outcome, chosen = _work(listing, options, draft, track)
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


def _work(listing: Listing, options: Options, draft: Draft, track: Track) -> tuple[Outcome, tuple[Candidate, Fitted]]:
    """Gather what the candidates within the budget want, fit them, choose one and measure it once."""
    start = time.monotonic()
    num_classes = len({s.label for s in listing.samples})
    candidates = make_candidates(options, num_classes, track)
    for candidate in candidates:
        if isinstance(candidate, ScratchCandidate):  # a head has but one layer to train
            candidate.check_memory(len(listing.samples), num_classes)
    candidates = within_time(candidates, options, draft)
    draft.note("weights", {c.network: c.weights._asdict() for c in candidates if c.weights})
    prepared = time.monotonic()
    wanted = _with_room([c.jobs(listing) for c in candidates], len(listing.samples))
    gathered = gather(listing, [*chain(*wanted)], threads=options.thread_count, track=track)
    collected = time.monotonic()
    gathered.check(listing)
    check_splits(listing, gathered.samples)
    roles = assign(gathered.samples, options.split_seed)
    task = _task(listing, roles, options, scratch=any(c.transfer == "none" for c in candidates))
    every = iter(gathered.rows)
    rows = [[next(every) for _ in jobs] for jobs in wanted]
    fitted = [
        candidate.fit(own, task, draft, threads=options.thread_count, track=track)
        for candidate, own in zip(candidates, rows, strict=True)
    ]
    scores = [_score(f.choice_probs, task.labels[task.compare]) for f in fitted]
    best = min(range(len(fitted)), key=lambda i: (-scores[i][0].value, scores[i][1]))
    draft.note("files_read", gathered.files_read)
    draft.note(
        "steps",
        {
            "prepare_seconds": round(prepared - start, 3),
            "gather_seconds": round(collected - prepared, 3),
            "fit_seconds": round(time.monotonic() - collected, 3),
        },
    )
    draft.note("chosen", {"network": candidates[best].network, "how": fitted[best].how_chosen})
    measured = np.array([s.split == roles.measured for s in roles.samples])
    raw = fitted[best].probs(rows[best][0][measured])
    probs, calibration = _calibrated(raw, task.labels[measured], fitted[best])
    tried = tuple(
        Tried(
            network=c.network, transfer=c.transfer, resolution=c.preprocessing.resolution, how_chosen=f.how_chosen,
            choice_top1=score[0], choice_nll=score[1], cost=c.cost(task.num_classes), history=f.history,
            seconds=f.seconds, chosen=i == best, weights=c.weights,
        )
        for i, (c, f, score) in enumerate(zip(candidates, fitted, scores, strict=True))
    )  # fmt: skip
    outcome = Outcome(
        listing=listing,
        roles=roles,
        skipped=gathered.skipped,
        notes=(
            *say(listing, roles, gathered),
            *say_resolution(candidates, options),
            *say_unchecked(candidates),
            *(n for f in fitted for n in f.notes),
        ),
        measured=tuple(s for s in roles.samples if s.split == roles.measured),
        labels=task.labels[measured],
        probs=probs,
        summary=summary(task.labels[measured], probs),
        calibration=calibration,
        cross_validation=fitted[best].cross_validation,
        tried=tried,
        options=options,
        second_look=look_again(candidates, fitted, rows, roles, options),
    )
    return outcome, (candidates[best], fitted[best])


def _with_room(wanted: list[list[Job]], n: int) -> list[list[Job]]:
    """Leave out what candidates can do without, all but their first, where rows of n files find no room."""
    return wanted if has_room([*chain(*wanted)], n) else [jobs[:1] for jobs in wanted]


def _calibrated(
    raw: NDArray[np.float32], labels: NDArray[np.int64], fitted: Fitted
) -> tuple[NDArray[np.float32], Calibration]:
    """Fit the temperature on what chose, and apply it to what is measured: probs (n, K), and what it does."""
    temperature = fit_temperature(fitted.judged.labels, fitted.judged.probs)
    probs = at_temperature(raw, temperature.value)
    return probs, Calibration(fitted.judged.where, temperature, reliability(labels, raw), reliability(labels, probs))


def _task(listing: Listing, roles: Roles, options: Options, *, scratch: bool) -> Task:
    samples = roles.samples
    train = np.array([s.split == "train" for s in samples])
    val = np.array([roles.chooses == "val" and s.split == "val" for s in samples])
    learnt = [s for s in samples if s.split == "train"]
    tenth, fold_of = np.zeros(len(samples), bool), np.full(len(samples), -1)
    if not val.any():
        fold_of[train] = folds(learnt, 5, options.split_seed)
        if scratch:
            tenth[train] = held_out(learnt, options.split_seed)
            if not tenth.any():
                raise DataError(
                    "training from scratch holds a tenth of `train` out to choose the epoch, and no class has two "
                    "different images to spare; add images"
                )
    compare = val if val.any() else tenth if scratch else train
    return Task(
        listing=listing, samples=samples,
        labels=np.array(roles.labels(samples), np.int64), num_classes=len(roles.classes), train=train, held_out=tenth,
        val=val, folds=fold_of, compare=compare, balance=options.balance,
    )  # fmt: skip


def _score(probs: NDArray[np.float32], labels: NDArray[np.int64]) -> tuple[Interval, float]:
    """Top-1 and mean NLL."""
    picked = np.maximum(probs[np.arange(len(labels)), labels], 1e-12)
    return wilson(int((probs.argmax(axis=1) == labels).sum()), len(labels)), float(-np.log(picked).mean())


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
        folder, network=candidate.network, arguments=fitted.arguments, classes=outcome.roles.classes,
        preprocessing=fitted.preprocessing, cost=candidate.cost(len(outcome.roles.classes)),
        provenance=provenance, temperature=outcome.calibration.temperature.value,
        weights=weights, graph=graph,
    )  # fmt: skip


def _latency(draft: Draft, classifier: Classifier) -> Latency:
    """Measured once a run, on an image of noise."""
    if "latency" in draft.record:
        return Latency(**draft.record["latency"])
    pixels = np.random.default_rng(0).integers(0, 256, classifier.preprocessing.shape, np.uint8)
    latency = measure_latency(classifier.frozen, pixels)
    draft.note("latency", latency._asdict())
    return latency

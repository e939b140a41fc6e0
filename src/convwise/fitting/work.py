"""From a listing to what a run found: gather, fit the candidates, choose one, measure it once."""

import time
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.roles import Roles, assign, check_splits
from ..data.samples import Listing
from ..metrics import Interval, at_temperature, fit_temperature, reliability, summary, wilson
from ..progress import Track
from ..runtime.gather import Gathered, gather
from ..runtime.jobs import Job
from ..runtime.room import has_disk, within_limit
from .candidates import make_candidates, within_time
from .climb import Fit, fit_all
from .draft import Draft
from .keeping import kept_rungs
from .members import train_members
from .mirroring import settle_mirrors
from .notes import say, say_few_choose, say_from_scratch, say_resolution, say_tie, say_unchecked
from .options import Options
from .outcome import Calibration, Outcome, Tried
from .second_look import look_again
from .task import Candidate, Fitted, Floats, Judged, Task, TooFewError, make_task
from .teacher import check_teacher, load_teacher, say_taught, taught

Rows = list[list[Any]]  # of each candidate, of each of its jobs


def make_outcome(
    listing: Listing, options: Options, draft: Draft, track: Track
) -> tuple[Outcome, tuple[Candidate, Fitted]]:
    """Gather what the candidates within the budget want, fit them, choose one and measure it once."""
    start, threads = time.monotonic(), options.thread_count
    teacher = load_teacher(options)
    check_teacher(teacher, listing)
    candidates = _within_means(listing, options, draft, track)
    prepared = time.monotonic()
    gathered, rows, from_files = _gather(listing, candidates, draft, threads, track)
    collected = time.monotonic()
    roles = assign(gathered.samples, options.split_seed)
    task = _make_task(listing, roles, options, candidates, from_files=from_files)
    if not task.chooses_epochs:
        rows = [wanted for candidate, wanted in zip(candidates, rows, strict=True) if candidate.transfer == "head"]
        candidates = [candidate for candidate in candidates if candidate.transfer == "head"]
    task = taught(task, roles, teacher, threads=threads, track=track)
    candidates, unmirrored = settle_mirrors(candidates, task, options, draft, track=track)
    fits, diverged = fit_all(candidates, rows, task, draft, options, track=track)
    steps = {"prepare": prepared - start, "gather": collected - prepared, "fit": time.monotonic() - collected}
    draft.note("files_read", gathered.files_read)
    draft.note("steps", {f"{step}_seconds": round(seconds, 3) for step, seconds in steps.items()})
    tried = _compare(fits, task)
    best = fits[next(i for i, one in enumerate(tried) if one.chosen)]
    draft.note("chosen", {"network": best.candidate.network, "how": best.fitted.how_chosen})
    measured = np.array([s.split == roles.measured for s in roles.samples])
    labels = task.labels[measured]
    probs, calibration = _calibrate(best.fitted.probs(best.rows[0][measured]), labels, best.fitted.judged)
    members = train_members(best, task, roles, options=options, draft=draft, track=track)
    outcome = Outcome(
        listing=listing, roles=roles, skipped=gathered.skipped,
        notes=(
            *say(listing, roles, gathered), *say_resolution(candidates, options), *say_unchecked(candidates),
            *say_from_scratch(options), *say_few_choose(task, best.fitted.history), *say_tie(tried),
            *say_taught(task, best.fitted),
            *unmirrored, *(n for f in fits for n in f.fitted.notes), *diverged, *members.notes,
        ),
        measured=tuple(s for s in roles.samples if s.split == roles.measured), labels=labels, probs=probs,
        summary=summary(labels, probs), calibration=calibration, cross_validation=best.fitted.cross_validation,
        tried=tried, options=options, second_look=look_again(fits, roles, options),
        members=members,
    )  # fmt: skip
    return outcome, (best.candidate, best.fitted)


def _make_task(
    listing: Listing, roles: Roles, options: Options, candidates: Sequence[Candidate], *, from_files: bool
) -> Task:  # fmt: skip
    """Share out who does what; of ladders, where no image can be spared to choose an epoch, for the first rung alone.

    Raises:
        TooFewError: a candidate is trained by epochs, and is no upper rung of a ladder.
    """
    trained = any(c.transfer != "head" for c in candidates)
    try:
        return make_task(listing, roles, options, trained=trained, from_files=from_files)
    except TooFewError:
        if {options.transfer_of(c.network) for c in candidates} != {"auto"}:
            raise
        return make_task(listing, roles, options, trained=False, from_files=from_files)


def _within_means(listing: Listing, options: Options, draft: Draft, track: Track) -> list[Candidate]:
    """The candidates within the budget and this machine's memory, ready to run."""
    num_classes = len({s.label for s in listing.samples})
    candidates = make_candidates(options, len(listing.samples), num_classes, track)
    candidates = within_time(candidates, options, draft)
    draft.note("weights", {c.network: c.weights._asdict() for c in candidates if c.weights})
    return candidates


def _gather(
    listing: Listing, candidates: Sequence[Candidate], draft: Draft, threads: int, track: Track
) -> tuple[Gathered, Rows, bool]:  # fmt: skip
    """One pass for all candidates, and the rows shared out among them.

    Candidates can do without all but their first rows: training reads files instead. Where the rows are more than the
    cache may take, it takes the files as they are; where it is the disk that has no room, it makes the same pixels of
    them as the rows would have, so that what is cached already decides nothing.

    Returns:
        What was gathered; the rows; and whether the run takes files as they are since it began.
    """
    wanted = [c.jobs(listing) for c in candidates]
    more, jobs = any(len(jobs) > 1 for jobs in wanted), list(_unique(wanted).values())
    from_files = draft.record.get("from_files", more and not within_limit(jobs, listing))
    if from_files or (more and not (within_limit(jobs, listing) and has_disk(jobs, listing))):
        wanted = [jobs[:1] for jobs in wanted]
    unique = _unique(wanted)
    gathered = gather(listing, list(unique.values()), threads=threads, track=track)
    gathered.check(listing)
    check_splits(listing, gathered.samples)
    draft.note("from_files", from_files)
    rows = dict(zip(unique, gathered.rows, strict=True))
    return gathered, [[rows[job.rows.folder] for job in jobs] for jobs in wanted], from_files


def _unique(wanted: list[list[Job]]) -> dict[Path, Job]:
    """Each job once, under where its rows are kept: candidates of one preprocessing want the same."""
    return {job.rows.folder: job for job in chain(*wanted)}


def _compare(fits: Sequence[Fit], task: Task) -> tuple[Tried, ...]:
    """Score the candidates on the same images; the most right answers win, and of equals the lower NLL.

    Of the rungs of a ladder one alone stands for its network.
    """
    scores = [_score(f.fitted.choice_probs, task.labels[task.compare]) for f in fits]
    best = min(kept_rungs(fits, task), key=lambda i: (-scores[i][0].value, scores[i][1]))
    return tuple(
        Tried(
            network=f.candidate.network, transfer=f.candidate.transfer,
            resolution=f.candidate.preprocessing.resolution, how_chosen=f.fitted.how_chosen, choice_top1=score[0],
            choice_nll=score[1], choice_n=int(task.compare.sum()), cost=f.candidate.cost(task.num_classes),
            history=f.fitted.history, seconds=f.fitted.seconds, chosen=i == best, weights=f.candidate.weights,
            pieces=f.fitted.pieces, gain=f.gain, ended=f.ended, recipe=f.fitted.recipe,
        )
        for i, (f, score) in enumerate(zip(fits, scores, strict=True))
    )  # fmt: skip


def _score(probs: Floats, labels: NDArray[np.int64]) -> tuple[Interval, float]:
    """Top-1, and mean NLL at the temperature that suits these images, as each classifier gets one."""
    top1 = wilson(int((probs.argmax(axis=1) == labels).sum()), len(labels))
    return top1, fit_temperature(labels, probs).nll


def _calibrate(raw: Floats, labels: NDArray[np.int64], judged: Judged) -> tuple[Floats, Calibration]:
    """Fit the temperature on what chose, and apply it to what is measured: probs (n, K), and what it does."""
    temperature = fit_temperature(judged.labels, judged.probs)
    probs = at_temperature(raw, temperature.value)
    return probs, Calibration(judged.where, temperature, reliability(labels, raw), reliability(labels, probs))

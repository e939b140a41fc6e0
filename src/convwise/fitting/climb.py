"""Up the ladder of transfer learning: the next rung is tried while the last one has paid and there is time."""

import time
from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..data.text import counted
from ..errors import DivergedError, NoRoomError
from ..metrics import Paired, compare
from ..progress import Track
from .draft import Draft
from .options import Options
from .task import Candidate, Fitted, Task


class Fit(NamedTuple):
    """A candidate that was fitted on its rows.

    Attributes:
        candidate, rows, fitted: as said.
        gain: over the rung below, on what compares; None of the first, and where there is no ladder.
        ended: why no rung above it was tried; empty where one was, and where there is none.
    """

    candidate: Candidate
    rows: Sequence[Any]
    fitted: Fitted
    gain: Paired | None = None
    ended: str = ""


def fit_all(
    candidates: Sequence[Candidate], rows: Sequence[Sequence[Any]], task: Task, draft: Draft, options: Options,
    *, track: Track,
) -> tuple[list[Fit], list[str]]:  # fmt: skip
    """Fit the candidates, of each network's ladder as many as pay.

    Returns:
        Those that came to weights, and notes on those that did not.

    Raises:
        DivergedError: none came to weights.
    """
    kept: list[Fit] = []
    notes: list[str] = []
    for _, ladder in groupby(zip(candidates, rows, strict=True), key=lambda pair: pair[0].network):
        found, diverged = _climb(list(ladder), task, draft, options, track)
        kept += found
        notes += diverged
    if not kept:
        raise DivergedError("; ".join(notes))
    return kept, [f"{note}; it is not compared" for note in notes]


def _climb(
    ladder: list[tuple[Candidate, Sequence[Any]]], task: Task, draft: Draft, options: Options, track: Track
) -> tuple[list[Fit], list[str]]:  # fmt: skip
    """Fit one network on one rung after the other; where a rung diverges, the ladder ends."""
    kept: list[Fit] = []
    start = time.monotonic()
    for place, (candidate, rows) in enumerate(ladder):
        limited: Candidate | None = candidate
        if place:
            ended = _not_worth_it(kept[-1])
            if not ended and (limited := _within_time(candidate, draft, options, time.monotonic() - start)) is None:
                ended = f"the time limit of {options.time_limit:g} s is over"
            kept[-1] = kept[-1]._replace(ended=ended)
            if ended:
                break
        assert limited is not None
        try:
            fitted = limited.fit(rows, task, draft, threads=options.thread_count, track=track)
        except DivergedError as error:
            return _ended(kept, f"the rung above it, {candidate.transfer}, diverged"), [str(error)]
        except NoRoomError as error:
            if not kept:
                raise
            return _ended(kept, f"the rung above it, {candidate.transfer}, cannot be had: {error}"), []
        gain = gain_of(fitted, kept[-1].fitted, task) if kept else None
        kept.append(Fit(limited, rows, fitted, gain))
    rungs = options.rungs(ladder[0][0].network)
    if len(rungs) > 1 and not kept[-1].ended:
        kept[-1] = kept[-1]._replace(ended=_why_no_more(rungs[len(ladder) :], task))
    return kept, []


def _why_no_more(missing: Sequence[str], task: Task) -> str:
    """Why a ladder has no further rung, of all those that there could be."""
    if not missing:
        return "it is the highest rung"
    if not task.chooses_epochs:
        return f"no image can be spared to choose an epoch of the rung above it, {missing[0]}"
    return f"there is not the memory for the rung above it, {missing[0]}"


def _ended(kept: list[Fit], why: str) -> list[Fit]:
    """The rungs, the last of which says why none above it was tried."""
    return [*kept[:-1], kept[-1]._replace(ended=why)] if kept else kept


def gain_of(fitted: Fitted, below: Fitted, task: Task) -> Paired:
    """What one candidate gains in top-1 over another, on the images that compare."""
    labels = task.labels[task.compare]
    return compare(_right(fitted, labels), _right(below, labels))


def _right(fitted: Fitted, labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    right: NDArray[np.bool_] = fitted.choice_probs.argmax(axis=1) == labels
    return right


def _not_worth_it(last: Fit) -> str:
    """Why the rung above a fitted one is not tried; empty where it is."""
    if last.gain is None:  # the first has guessing below it
        return ""
    points, noise = 100 * last.gain.difference, 100 * last.gain.noise
    if points > noise:
        return ""
    n = last.gain.n
    what = f"noise of {noise:.1f} (one standard error, on {counted(n, 'image')} held out)"
    if points <= 0:
        return f"it was no better than the rung below: {points:.1f} points, with a {what}"
    return f"it gained {points:.1f} points over the rung below, no more than their {what}"


def _within_time(candidate: Candidate, draft: Draft, options: Options, spent: float) -> Candidate | None:
    """The candidate with what is left of the time for its limit, None where nothing is; a resumed run decides alike."""
    if options.time_limit is None:
        return candidate
    known: dict[str, float] = draft.record.get("rung_seconds", {})
    name = f"{candidate.network}-{candidate.transfer}"
    if name not in known:
        known = known | {name: max(0.0, round(options.time_limit - spent, 3))}
        draft.note("rung_seconds", known)
    left = known[name]
    return candidate.within(left) if left else None

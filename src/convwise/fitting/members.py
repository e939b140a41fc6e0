"""The chosen network trained from several seeds: the members of an ensemble, and what averaging them gains."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..classifier import Classifier
from ..data.roles import Roles
from ..errors import DivergedError
from ..evaluation import MEMBERS, Named, Row, price
from ..metrics import fit_temperature
from ..progress import Track
from .climb import Fit
from .draft import Draft
from .options import Options
from .outcome import ALONE, Members, Outcome
from .saving import save_fitted
from .task import Task
from .trained_candidate import TrainedCandidate

ALIKE = (
    "no further members: the chosen candidate is a softmax layer on frozen features, which comes out alike from "
    "every seed"
)


def train_members(
    first: Fit, task: Task, roles: Roles, *, options: Options, draft: Draft, track: Track
) -> Members:  # fmt: skip
    """Train the chosen candidate from further seeds, and save each member as soon as it is there.

    Args:
        first: what was chosen, number 1.
        task: what it was fitted on.
        roles: of the samples.
        options: of the run.
        draft: keeps the members, and what an interrupted training needs.
        track: shows progress.
    """
    if options.members is None:
        return ALONE
    if not isinstance(first.candidate, TrainedCandidate):
        return Members(notes=(ALIKE,))
    begun, saved, notes = time.monotonic(), list[Classifier](), list[tuple[int, str]]()
    for number in range(2, options.members + 1):
        member = first.candidate.member(number)
        try:
            fitted = member.fit(first.rows, task, draft, threads=options.thread_count, track=track)
        except DivergedError as error:
            notes.append((number, f"{_rest(str(error), member)}; left out"))
            continue
        saved.append(
            save_fitted(
                draft.folder / MEMBERS / str(number), member, fitted, roles, listing=task.listing, options=options,
                temperature=fit_temperature(fitted.judged.labels, fitted.judged.probs).value,
            )
        )  # fmt: skip
        notes += [(number, _rest(note, member)) for note in fitted.notes]
    return Members(tuple(saved), _together(notes, first.candidate.network), time.monotonic() - begun)


def _rest(note: str, member: TrainedCandidate) -> str:
    """What a note says after the name of who it is of."""
    return note.removeprefix(f"{member.called}: ")


def _together(notes: Iterable[tuple[int, str]], network: str) -> tuple[str, ...]:
    """One note for all members, by number, whose notes say the same."""
    numbers: dict[str, list[str]] = {}
    for number, rest in notes:
        numbers.setdefault(rest, []).append(str(number))
    return tuple(f"{_numbered(who)} of {network}: {rest}" for rest, who in numbers.items())


def _numbered(who: Sequence[str]) -> str:
    return f"members {', '.join(who[:-1])} and {who[-1]}" if len(who) > 1 else f"member {who[0]}"


def price_members(classifier: Classifier, outcome: Outcome, track: Track) -> tuple[Row, ...]:
    """What averaging gains and costs on the measured split, as `convwise evaluate` has it; nothing without members."""
    members = outcome.members.classifiers
    if not members:
        return ()
    named = [Named("classifier", classifier), *(Named(f"{MEMBERS}/{c.folder.name}", c) for c in members)]
    measured = replace(outcome.listing, samples=outcome.measured)
    return price(
        named, measured, threads=outcome.options.thread_count, split=outcome.roles.measured, track=track
    )  # fmt: skip

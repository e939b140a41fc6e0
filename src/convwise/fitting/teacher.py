"""A classifier, or the average of several, whose probabilities a network learns beside the labels.

Source: Hinton, Vinyals, Dean, Distilling the Knowledge in a Neural Network (2015), https://arxiv.org/abs/1503.02531.
Departures: the temperature stays the calibrated one; labels and teacher weigh alike, where the paper gives labels less;
the teacher sees each image as it is, whatever augmentation makes of it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..data.roles import Roles
from ..data.samples import Listing, Sample
from ..errors import DataError
from ..evaluation import Named, average, with_members
from ..evaluation.answers import ask
from ..evaluation.tricks import difference, ordered
from ..progress import Track
from ..runtime.gather import gather
from .options import Options
from .task import Fitted, Mask, Task, Taught

NOTHING = (
    "the teacher taught the chosen classifier nothing: it is a softmax layer on frozen features, which learns the "
    "labels alone"
)
WEIGHT = 0.5  # of the teacher in the loss; measured with LeNet-5, docs/training.md has it


def load_teacher(options: Options) -> tuple[Named, ...]:
    """The teacher, or its members; nothing where the options name none.

    Raises:
        DataError: it is absent or damaged.
    """
    return () if options.teacher is None else with_members(Path(options.teacher))


def check_teacher(teacher: Sequence[Named], listing: Listing) -> None:
    """Refuse a teacher of other classes before all images are read.

    A class that it does not know counts once an image of it can be used; `taught` looks again when all are read.

    Raises:
        DataError: its classes are others.
    """
    listed = {s.label for s in listing.samples}
    for member in teacher:
        known = set(member.classifier.classes)
        unknown = (s for s in listing.samples if s.label not in known)
        if known - listed or any(_usable(listing, s) for s in unknown):
            _check_classes(member, listed, listing)


def _usable(listing: Listing, sample: Sample) -> bool:
    return bool(gather(replace(listing, samples=(sample,)), [], threads=1).samples)


def taught(task: Task, roles: Roles, teacher: Sequence[Named], *, threads: int, track: Track) -> Task:
    """The task with what the teacher says of the images that weights learn from; without a teacher as it is.

    Raises:
        DataError: its classes are others, or an image went away.
    """
    if not teacher:
        return task
    for member in teacher:
        _check_classes(member, roles.classes, task.listing)
    learn = task.train & ~task.held_out
    samples = tuple(task.samples[i] for i in np.flatnonzero(learn).tolist())
    found, logits = ask(
        [c for _, c in teacher], replace(task.listing, samples=samples), threads=threads, track=track
    )  # fmt: skip
    if gone := len(samples) - len(found.samples):
        raise DataError(
            f"{gone} of the {len(samples)} images to learn from in {str(task.listing.root)!r} cannot be read any more; "
            "leave the data alone while a run goes on, and repeat the command"
        )
    answers = [ordered(c.probs(said), c, roles.classes) for (_, c), (said,) in zip(teacher, logits, strict=True)]
    shares = np.zeros((len(task.samples), task.num_classes), np.float32)
    one_hot = np.eye(task.num_classes, dtype=np.float32)[task.labels[learn]]
    # the cross-entropy is linear in its target, so that this is the weighted sum of the paper's two losses
    shares[learn] = WEIGHT * average(answers) + (1 - WEIGHT) * one_hot
    by = tuple(c.provenance for _, c in teacher)
    return replace(task, taught=Taught(shares, by, _notes(task, roles, teacher)))


def say_taught(task: Task, chosen: Fitted) -> tuple[str, ...]:
    """What is to be said of the teacher beside what was chosen, which may be what it has not taught."""
    if task.taught is None:
        return ()
    return task.taught.notes if chosen.taught_by else (NOTHING,)


def _check_classes(member: Named, classes: Iterable[str], listing: Listing) -> None:
    only, lacks = difference(member.classifier.classes, classes)
    told = [f"{only} only the teacher knows"] if only else []
    told += [f"{lacks} only the data has"] if lacks else []
    if told:
        raise DataError(
            f"teacher {member.name!r} and data {str(listing.root)!r} have different classes: {'; '.join(told)}; "
            "name a teacher that was trained on the same classes"
        )


def _notes(task: Task, roles: Roles, teacher: Sequence[Named]) -> tuple[str, ...]:
    """Say what the teacher knows of images that the student is judged by."""
    measured = np.array([s.split == roles.measured for s in roles.samples])
    choose = task.val if task.val.any() else task.held_out
    notes = []
    if known := _known(task, measured, teacher, ("trained_on", "chosen_on")):
        notes.append(
            f"the teacher was trained on, or chosen by, {known} of the {measured.sum()} measured images: what it knows "
            "of them is in its answers, so that the figures may flatter"
        )
    if known := _known(task, choose, teacher, ("trained_on",)):
        notes.append(
            f"the teacher was trained on {known} of the {choose.sum()} images that choose the epoch and the "
            "temperature: its answers tell of them, so that both choices may come out too sure"
        )
    return tuple(notes)


def _known(task: Task, mask: Mask, teacher: Sequence[Named], kinds: Sequence[str]) -> int:
    """How many samples of a mask are in image sets of one of the teachers."""
    sets = [getattr(c.provenance, kind) for _, c in teacher for kind in kinds]
    hashes = [task.samples[i].sha256 for i in np.flatnonzero(mask).tolist()]
    return sum(any(sha256 in images for images in sets) for sha256 in hashes)

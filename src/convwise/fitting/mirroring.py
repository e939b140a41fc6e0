"""Whether a training may mirror its images: not where a mirror image is told for what it is less often.

A mirrored photo shows the same thing, a mirrored digit, letter or road sign another one or none. Published networks
have learnt from mirrored photos, so their features hardly tell one from its mirror image, and a softmax layer on them
names both alike; where it does not, the mirror has changed what the image shows.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..data.roles import FOLDS, folds
from ..data.samples import Sample
from ..data.views import View
from ..errors import NoRoomError
from ..metrics import Paired, compare
from ..progress import Track
from ..runtime.gather import gather
from ..runtime.jobs import features_job
from ..transfer.design import Design
from ..transfer.head import DEFAULT_L2, out_of_fold
from .draft import Draft
from .head_candidate import HeadCandidate
from .options import Options
from .recipe_use import usual_mirror
from .task import Candidate, Floats, Task
from .trained_candidate import TrainedCandidate

MOST = 1000  # images that are asked
LEAST = 10  # of a class, where it has so many: of many classes some are asked, of which enough is learnt
FEW = 100  # of fewer digits it is seldom seen that they must not be mirrored
LEVEL = 0.05  # of the one-sided test: a mirror wrongly given up costs photos little, a wrong mirror costs digits much


class Answer(NamedTuple):
    """What the images of a run say of the mirror.

    Attributes:
        kept: whether training mirrors.
        n: images that were asked.
        difference: by how much mirror images are right less often, a share.
        p_value: of the one-sided test.
        why: none could be asked.
    """

    kept: bool = True
    n: int = 0
    difference: float = 0.0
    p_value: float = 1.0
    why: str = ""


def settle_mirrors(
    candidates: Sequence[Candidate], task: Task, options: Options, draft: Draft, *, track: Track
) -> tuple[list[Candidate], tuple[str, ...]]:  # fmt: skip
    """Take the mirror out of the usual recipe where the images to learn from show that it harms.

    Each network is asked once a run: the draft keeps the answer.

    Args:
        candidates: of the run.
        task: whose images are asked; those that choose are not.
        options: of the run.
        draft: of the run.
        track: shows progress.

    Returns:
        The candidates, and what a user should know.
    """
    answers = {network: Answer(**answer) for network, answer in draft.record.get("mirror", {}).items()}
    settled: list[Candidate] = []
    for candidate in candidates:
        if isinstance(candidate, TrainedCandidate) and _may_lose_mirror(candidate, options):
            if candidate.network not in answers:
                answers[candidate.network] = _ask(candidate.network, task, options, track)
                draft.note("mirror", {network: answer._asdict() for network, answer in answers.items()})
            settled.append(candidate if answers[candidate.network].kept else candidate.unmirrored())
        else:
            settled.append(candidate)
    return settled, tuple(note for network, answer in answers.items() for note in _told(network, answer))


def _may_lose_mirror(candidate: TrainedCandidate, options: Options) -> bool:
    return not options.augment and usual_mirror(candidate.recipe, options.recipe, candidate.transfer)


def _ask(network: str, task: Task, options: Options, track: Track) -> Answer:
    """What softmax layers on the network's features say; where there is no room for these, why they say nothing."""
    asked = asked_of(np.flatnonzero(task.train & ~task.held_out), task.labels)
    samples = [task.samples[i] for i in asked.tolist()]
    try:
        found = _compare(samples, network, task, options, track)
    except NoRoomError as error:
        return Answer(why=str(error))
    if found is None:
        return Answer()
    p_value = found.p_value / 2 if found.difference > 0 else 1.0
    return Answer(p_value >= LEVEL, found.n, found.difference, p_value)


def asked_of(known: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Choose evenly spaced images, at most `MOST`, of each class as many; of more than a hundred classes, of a hundred.

    Args:
        known: numbers of the samples to choose from.
        labels: of all samples.
    """
    classes = np.unique(labels[known])
    each = max(LEAST, MOST // len(classes))
    chosen = _spaced(classes, MOST // each)
    return np.sort(np.concatenate([_spaced(known[labels[known] == label], each) for label in chosen]))


def _spaced(items: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    spaced: NDArray[np.int64] = items[np.linspace(0, len(items) - 1, min(most, len(items))).round().astype(int)]
    return spaced


def _compare(
    samples: Sequence[Sample], network: str, task: Task, options: Options, track: Track
) -> Paired | None:  # fmt: skip
    """None where nothing can be left out.

    Raises:
        NoRoomError: the features have none.
    """
    head = HeadCandidate(network, options)
    head.check_memory(len(samples), task.num_classes)
    head.prepare(track)
    listing = replace(task.listing, samples=tuple(samples))
    plain, body = head.jobs(listing)[0], head.body
    mirrored = features_job(
        body.frozen, body.graph_sha256, "features", body.width, View(head.preprocessing, mirrored=True)
    )
    gathered = gather(listing, [plain, mirrored], threads=options.thread_count, track=track)
    fold_of = np.array(folds(gathered.samples, FOLDS, options.split_seed))
    if len(np.unique(fold_of)) < 2:
        return None
    names, labels = np.unique([s.label for s in gathered.samples], return_inverse=True)
    return compare_mirrored(gathered.rows[0], gathered.rows[1], labels, len(names), fold_of)


def compare_mirrored(
    features: Floats, mirrored: Floats, labels: NDArray[np.int64], num_classes: int, fold_of: NDArray[np.int64]
) -> Paired:
    """Compare what softmax layers, each fitted on the other folds' images as they are, say of images and mirror images.

    Args:
        features: (n, d) of the images as they are.
        mirrored: (n, d) of their mirror images, of which nothing is learnt.
        labels: (n,).
        num_classes: K.
        fold_of: (n,) number of each image's fold; at least two.
    """
    from threadpoolctl import threadpool_limits

    n = len(labels)
    learn = np.arange(2 * n) < n
    with threadpool_limits(1):
        design = Design(np.concatenate([features, mirrored]), learn)
        probs, _ = out_of_fold(
            design, np.tile(labels, 2), num_classes, np.tile(fold_of, 2), DEFAULT_L2, trust=learn.astype(np.float32)
        )
    right = probs.argmax(axis=1) == np.tile(labels, 2)
    return compare(right[:n], right[n:])


def _told(network: str, answer: Answer) -> tuple[str, ...]:
    if answer.why:
        return (f"{network}: whether a mirror harms these images was not asked: {answer.why}",)
    if answer.kept:
        few = "images are mirrored in training, and are too few to tell whether that harms"
        return (f"{network}: {few}; --no-augment leaves them as they are",) if answer.n < FEW else ()
    points = f"{100 * answer.difference:.1f} points less often"
    note = (
        f"{network}: images are not mirrored in training: of {answer.n:,} to learn from, a softmax layer on the "
        f"published features names the mirrored ones right {points} (p = {answer.p_value:.1g}); --augment mirrors them "
        "all the same"
    )
    return (note,)

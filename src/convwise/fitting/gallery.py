"""The images that the page of a run shows: mistakes, doubtful labels, and what is nearly the same."""

from contextlib import suppress

import numpy as np

from .. import report
from ..classifier import Classifier
from ..data.decoding import UnreadableImageError, as_jpeg, thumbnail
from ..data.samples import Listing, Sample
from ..evaluation.heat_maps import HeatMaps
from .outcome import Outcome
from .second_look import SecondLook, kind_of

MISTAKES, DOUBTS, COPIES, THUMBNAIL = 24, 24, 12, 160  # how many of each the page shows; pixels


def mistakes(outcome: Outcome, classifier: Classifier) -> tuple[report.Mistake, ...]:
    """The wrong answers that were surest, with thumbnails and what in them spoke for the answer."""
    best = outcome.probs.argmax(axis=1)
    wrong = np.flatnonzero(best != outcome.labels)
    worst = sorted(wrong, key=lambda i: -float(outcome.probs[i, best[i]]))[:MISTAKES]
    classes, maps = outcome.roles.classes, HeatMaps(classifier)
    rows = []
    for i in worst:
        sample, p = outcome.measured[i], outcome.probs[i]
        picture = heat = None
        with suppress(OSError, UnreadableImageError):  # the file went away since it was read: the row stays without
            data = outcome.listing.read(sample)
            picture, heat = thumbnail(data, THUMBNAIL), as_jpeg(maps.picture(data, int(best[i]), THUMBNAIL))
        rows.append(
            report.Mistake(
                sample.path, sample.label, classes[best[i]], float(p[best[i]]), float(p[outcome.labels[i]]), picture,
                heat,
            )
        )  # fmt: skip
    return tuple(rows)


def doubts(outcome: Outcome) -> report.Doubts | None:
    """The labels that are most doubtful, with thumbnails."""
    look = outcome.second_look
    if look is None:
        return None
    doubts, listed = look.doubts, look.doubts.listed
    suggested = doubts.suggested(look.labels)
    shown = []
    for i in listed[:DOUBTS]:
        sample, own, other = look.roles.samples[i], look.labels[i], suggested[i]
        shown.append(
            report.Doubt(
                sample.path, str(sample.split), sample.label, look.roles.classes[other], float(doubts.probs[i, own]),
                float(doubts.probs[i, other]), float(doubts.wrong[i]), _thumbnail(outcome.listing, sample),
            )
        )  # fmt: skip
    return report.Doubts(len(look.labels), len(listed), tuple(shown))


def copies(outcome: Outcome) -> report.Copies | None:
    """Near-duplicates, those that weigh on the measurement or on the labels first."""
    look = outcome.second_look
    if look is None or look.pairs is None:
        return None
    kinds = [kind_of(look.roles.samples[p.first], look.roles.samples[p.second]) for p in look.pairs]
    order = sorted(range(len(kinds)), key=lambda k: kinds[k] == "duplicate")[:COPIES]
    shown = []
    for k in order:
        sides = [look.roles.samples[i] for i in look.pairs[k][:2]]
        images = [report.Side(s.path, str(s.split), s.label, _thumbnail(outcome.listing, s)) for s in sides]
        shown.append(report.Copy(images[0], images[1], look.pairs[k].cosine, kinds[k]))
    return report.Copies(len(kinds), _measured_twins(look), outcome.roles.measured, tuple(shown))


def _measured_twins(look: SecondLook) -> int:
    """How many measured images have a near-duplicate in another split."""
    twins = set()
    for pair in look.pairs or ():
        a, b = (look.roles.samples[i] for i in pair[:2])
        if a.split != b.split:
            twins |= {s.path for s in (a, b) if s.split == look.roles.measured}
    return len(twins)


def _thumbnail(listing: Listing, sample: Sample) -> bytes | None:
    try:
        return thumbnail(listing.read(sample), THUMBNAIL)
    except (OSError, UnreadableImageError):  # it went away since it was read
        return None

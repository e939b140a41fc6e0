"""What wins benchmarks, with its price: several views of an image, or several classifiers, averaged."""

from collections.abc import Sequence

import numpy as np

from ..classifier import Classifier
from ..data.samples import Listing, natural_key
from ..data.views import VIEWS, views_of
from ..errors import DataError, one_of
from ..metrics import compare
from ..progress import Track, silent
from ..runtime.latency import Latency, measure_together
from .answers import Asked, Evaluation, Floats, ask
from .measured import measured_part
from .rows import Named, Row


def price(
    named: Sequence[Named], listing: Listing, *, threads: int, views: str | None = None, split: str | None = None,
    track: Track = silent,
) -> tuple[Row, ...]:  # fmt: skip
    """Measure a classifier, and with others or with views what averaging their probabilities gains and costs.

    Args:
        named: the classifier, then others.
        listing: the folder.
        threads: images at once.
        views: "10", "flip" or None.
        split: as in `evaluate`, whose choice is made for the first classifier.
        track: shows progress.

    Returns:
        The first classifier; it with views; each other one; the first two together, three, ...; all with views.

    Raises:
        UsageError: no such split or views.
        DataError: no image in the split, a class that the classifiers do not know, or their classes differ.
    """
    if views is not None and views not in VIEWS:
        raise one_of("views", views, VIEWS)
    classifiers = [c for _, c in named]
    for other in named[1:]:
        _check_same_classes(named[0], other)
    listing, split, left_out = measured_part(classifiers[0], listing, split, threads, track)
    found, logits = ask(classifiers, listing, views=views, threads=threads, track=track)
    probs = [
        [_ordered(c.probs(view), c, classifiers[0]) for view in seen]
        for c, seen in zip(classifiers, logits, strict=True)
    ]
    asked = Asked(found, classifiers[0].classes, split, left_out)
    rows: list[Row] = []
    for members, seen in _ways(len(named), views):
        answers = [average(probs[i][1:]) if seen else probs[i][0] for i in members]
        evaluation = asked.evaluation(average(answers), [classifiers[i] for i in members])
        rows.append(_row(named, members, seen, evaluation, first=rows[0] if rows else None))
    return tuple(rows)


def _row(
    named: Sequence[Named], members: Sequence[int], views: str | None, evaluation: Evaluation, *, first: Row | None
) -> Row:
    """Price one way against the first."""
    chosen = [named[i].classifier for i in members]
    counts = [len(views_of(c.preprocessing, views)) if views else 1 for c in chosen]
    macs, latency = sum(n * c.macs for n, c in zip(counts, chosen, strict=True)), _latency(chosen, counts)
    return Row(
        members=tuple(named[i].name for i in members),
        letters=tuple(letter(i) for i in members),
        views=views,
        evaluation=evaluation,
        paired=compare(evaluation.correct, first.evaluation.correct) if first else None,
        params=sum(c.params for c in chosen),
        macs=macs,
        latency=latency,
        times_macs=macs / first.macs if first else 1.0,
        times_latency=latency.latency_ms / first.latency.latency_ms if first else 1.0,
    )


def letter(i: int) -> str:
    """A to Z, then A2 and so on."""
    return chr(ord("A") + i % 26) + (str(i // 26 + 1) if i >= 26 else "")


def average(probs: Sequence[Floats]) -> Floats:
    """Average several (n, K): probabilities, so that the result is one."""
    return np.asarray(np.mean(probs, axis=0, dtype=np.float64), np.float32)


def _ways(count: int, views: str | None) -> list[tuple[tuple[int, ...], str | None]]:
    """Members and views of each row, in order."""
    ways: list[tuple[tuple[int, ...], str | None]] = [((0,), None)]
    if views:
        ways.append(((0,), views))
    ways += [((i,), None) for i in range(1, count)]
    ways += [(tuple(range(size)), None) for size in range(2, count + 1)]
    if views and count > 1:
        ways.append((tuple(range(count)), views))
    return ways


def _ordered(probs: Floats, classifier: Classifier, first: Classifier) -> Floats:
    """The columns (n, K) in the order of the first classifier's classes."""
    index = {name: i for i, name in enumerate(classifier.classes)}
    return probs[:, [index[name] for name in first.classes]]


def _check_same_classes(first: Named, other: Named) -> None:
    mine, theirs = set(first.classifier.classes), set(other.classifier.classes)
    if mine == theirs:
        return
    alone = [
        f"{_few(only)} only {str(who.name)!r} knows"
        for only, who in ((mine - theirs, first), (theirs - mine, other)) if only
    ]  # fmt: skip
    raise DataError(
        f"classifiers {first.name!r} and {other.name!r} have different classes and cannot be averaged: "
        f"{'; '.join(alone)}; give classifiers of the same classes"
    )


def _few(names: set[str]) -> str:
    some = sorted(names, key=natural_key)
    return ", ".join(repr(name) for name in some[:3]) + (f" and {len(some) - 3} more" if len(some) > 3 else "")


def _latency(classifiers: Sequence[Classifier], counts: Sequence[int]) -> Latency:
    """One image a call, as `evaluate` and `predict` run them; fewer repetitions where a way takes many calls."""
    rng, total = np.random.default_rng(0), sum(counts)
    calls = [
        (c.frozen, rng.integers(0, 256, c.preprocessing.shape, np.uint8))
        for c, n in zip(classifiers, counts, strict=True)
        for _ in range(n)
    ]
    return measure_together(calls, n=max(5, 20 // total), warm_up=3 if total == 1 else 1)

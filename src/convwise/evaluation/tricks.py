"""What wins benchmarks, with its price: several views of an image, or several classifiers, averaged."""

from collections.abc import Iterable, Sequence

import numpy as np

from ..classifier import Classifier
from ..data.samples import Listing, natural_key
from ..data.views import VIEWS, views_of
from ..errors import DataError, one_of
from ..metrics import compare
from ..progress import Track, silent
from ..runtime.latency import Turn, measure_in_turn
from .answers import Asked, Floats, ask
from .measured import measured_part
from .rows import Named, Row


def price(
    named: Sequence[Named], listing: Listing, *, threads: int, views: str | None = None, split: str | None = None,
    track: Track = silent,
) -> tuple[Row, ...]:  # fmt: skip
    """Measure a classifier, and with others or with views what averaging their probabilities gains and costs.

    Args:
        named: the classifier, then others.
        listing: the images.
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
        [ordered(c.probs(view), c, classifiers[0].classes) for view in seen]
        for c, seen in zip(classifiers, logits, strict=True)
    ]
    asked = Asked(found, classifiers[0].classes, split, left_out)
    turns = _timed(classifiers)
    rows: list[Row] = []
    for members, seen in _ways(len(named), views):
        answers = [average(probs[i][1:]) if seen else probs[i][0] for i in members]
        evaluation = asked.evaluation(average(answers), [classifiers[i] for i in members])
        calls = [len(views_of(classifiers[i].preprocessing, seen)) if seen else 1 for i in members]
        first = rows[0] if rows else None
        row = Row(
            members=tuple(named[i].name for i in members),
            letters=tuple(letter(i) for i in members),
            views=seen,
            evaluation=evaluation,
            paired=compare(evaluation.correct, first.evaluation.correct) if first else None,
            params=sum(classifiers[i].params for i in members),
            macs=sum(n * classifiers[i].macs for n, i in zip(calls, members, strict=True)),
            latency_ms=round(sum(n * turns[i].median_ms for n, i in zip(calls, members, strict=True)), 3),
            quickest_ms=sum(n * turns[i].quickest_ms for n, i in zip(calls, members, strict=True)),
            first=first,
        )
        rows.append(row)
    return tuple(rows)


def _timed(classifiers: Sequence[Classifier]) -> list[Turn]:
    """What one call of each takes, on an image of noise."""
    rng = np.random.default_rng(0)
    noise = [(c.frozen, rng.integers(0, 256, c.preprocessing.shape, np.uint8)) for c in classifiers]
    return measure_in_turn(noise)


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


def ordered(probs: Floats, classifier: Classifier, classes: Sequence[str]) -> Floats:
    """What a classifier says, (n, K), in the order of these classes, which are its own."""
    index = {name: i for i, name in enumerate(classifier.classes)}
    return probs[:, [index[name] for name in classes]]


def _check_same_classes(first: Named, other: Named) -> None:
    alone = difference(first.classifier.classes, other.classifier.classes)
    told = [f"{names} only {who.name!r} knows" for names, who in zip(alone, (first, other), strict=True) if names]
    if told:
        raise DataError(
            f"classifiers {first.name!r} and {other.name!r} have different classes and cannot be averaged: "
            f"{'; '.join(told)}; give classifiers of the same classes"
        )


def difference(mine: Iterable[str], theirs: Iterable[str]) -> tuple[str, str]:
    """What is in the first alone, and in the second alone, in words; empty where nothing is."""
    return _few(set(mine) - set(theirs)), _few(set(theirs) - set(mine))


def _few(names: set[str]) -> str:
    some = sorted(names, key=natural_key)
    return ", ".join(repr(name) for name in some[:3]) + (f" and {len(some) - 3} more" if len(some) > 3 else "")

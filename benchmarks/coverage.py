"""How often 95 % intervals hold the truth: Wilson's by an exact sum, the bootstrap's and the paired one by simulation.

The table stands in docs/evaluation.md. Nothing here depends on the machine but the seconds that it takes.
"""

import argparse
import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from convwise.metrics import (
    Interval,
    balanced_accuracy,
    bootstrap_confusion,
    bootstrap_mean,
    compare,
    macro_f1,
    softmax,
    wilson,
)

SIZES = (150, 300, 1000)
STEPS = 471  # p from 0.5 to 0.97 in steps of 0.001


class Case(NamedTuple):
    """A classifier on n images: shares and recalls of the classes; errors go to all others alike."""

    words: str
    shares: list[float]
    recalls: list[float]
    n: int


CASES = (
    Case("2 classes, recall 0.96", [0.5] * 2, [0.96] * 2, 150),
    Case("2 classes, recall 0.99", [0.5] * 2, [0.99] * 2, 150),
    Case("10 classes, recall 0.97", [0.1] * 10, [0.97] * 10, 300),
    Case("6 classes, 60 to 5 % of the images, recall 0.97 to 0.6", [0.6, 0.1, 0.1, 0.1, 0.05, 0.05],
         [0.97, 0.9, 0.8, 0.9, 0.9, 0.6], 300),
    Case("20 classes, recall 0.8", [0.05] * 20, [0.8] * 20, 150),
    Case("20 classes, recall 0.8", [0.05] * 20, [0.8] * 20, 1000),
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1000, metavar="N", help="of each simulation")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    args = parser.parse_args()
    print("| interval | of what | images | covers |\n|---|---|---|---|")
    for row in [*wilson_rows(), *confusion_rows(args.trials, args.seed), *nll_rows(args.trials, args.seed),
                *paired_rows(20 * args.trials, args.seed)]:  # fmt: skip
        print(f"| {' | '.join(row)} |", flush=True)


def wilson_coverage(n: int, p: float) -> float:
    """Sum the binomial chances of the counts whose interval holds p."""
    return sum(
        math.exp(math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
                 + k * math.log(p) + (n - k) * math.log1p(-p))
        for k in range(n + 1) if holds(wilson(k, n), p)
    )  # fmt: skip


def wilson_rows() -> Iterator[tuple[str, ...]]:
    for n in (30, 75, *SIZES):
        covers = [wilson_coverage(n, p) for p in np.linspace(0.5, 0.97, STEPS).tolist()]
        low, mean, high = min(covers), float(np.mean(covers)), max(covers)
        yield (
            "Wilson, exact",
            "top-1, p from 0.5 to 0.97",
            str(n),
            f"{percent(low)} to {percent(high)}, mean {percent(mean)}",
        )


def confusion_rows(trials: int, seed: int) -> Iterator[tuple[str, ...]]:
    for case in CASES:
        rng, size = np.random.default_rng(seed), len(case.shares)
        recalls, shares = np.array(case.recalls), np.array(case.shares)
        joint = np.outer(shares * (1 - recalls), np.ones(size)) / (size - 1)
        np.fill_diagonal(joint, shares * recalls)
        f1 = 2 * np.diag(joint) / (joint.sum(axis=1) + joint.sum(axis=0))
        truth = (float(recalls.mean()), float(f1.mean()))
        held = np.zeros(2)
        for trial in range(trials):
            confusion = rng.multinomial(case.n, joint.ravel()).reshape(size, size)
            found = bootstrap_confusion(confusion, [balanced_accuracy, macro_f1], trial)
            held += [holds(interval, t) for interval, t in zip(found, truth, strict=True)]
        for name, share in zip(("balanced accuracy", "macro F1"), held / trials, strict=True):
            yield "bootstrap", f"{name}: {case.words}", str(case.n), percent(share)


def nll_rows(trials: int, seed: int) -> Iterator[tuple[str, ...]]:
    for words, factor in (("calibrated", 1.0), ("three times too sure", 3.0)):
        rng = np.random.default_rng(seed)
        truth = float(losses(rng, 1_000_000, factor).mean())
        for n in SIZES:
            found = (bootstrap_mean(losses(rng, n, factor), trial) for trial in range(trials))
            yield "bootstrap", f"NLL: 10 classes, {words}", str(n), share_held(found, truth, trials)


def losses(rng: np.random.Generator, n: int, factor: float) -> NDArray[np.float64]:
    """NLL (n,) of answers whose logits are `factor` times those that the labels were drawn from."""
    logits = rng.normal(0, 2.5, (n, 10)).astype(np.float32)
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    probs = softmax(np.float32(factor) * logits)[np.arange(n), labels].astype(np.float64)
    return np.asarray(-np.log(np.maximum(probs, 1e-15)))


def paired_rows(trials: int, seed: int) -> Iterator[tuple[str, ...]]:
    for a_only, b_only in ((0.02, 0.02), (0.05, 0.01)):
        rng = np.random.default_rng(seed)
        for n in SIZES:
            draws = rng.multinomial(n, [a_only, b_only, 1 - a_only - b_only], size=trials).tolist()
            image = np.arange(n)
            pairs = (compare(image < a, (a <= image) & (image < a + b)) for a, b, _ in draws)
            found = (Interval(paired.difference, paired.low, paired.high) for paired in pairs)
            words = f"difference: one alone right on {100 * a_only:.0f} %, the other on {100 * b_only:.0f} %"
            yield "Bonett and Price", words, str(n), share_held(found, a_only - b_only, trials)


def share_held(intervals: Iterable[Interval], truth: float, trials: int) -> str:
    return percent(sum(holds(interval, truth) for interval in intervals) / trials)


def holds(interval: Interval, truth: float) -> bool:
    return interval.low <= truth <= interval.high


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


if __name__ == "__main__":
    main()

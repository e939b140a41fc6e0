"""Softmax regression on frozen features, to convergence; its L2 strength by cross-validation.

Minimises, over W and b,  sum_i w_i nll_i / sum_i w_i + l2 / 2 |W|^2  on standardised features by L-BFGS in float32. All
folds of a cross-validation go through the same matrix products at once (a fold is a column of sample weights), and
the curvature of the features, from one eigendecomposition, is the initial inverse Hessian: some 10 to 30 iterations
where the plain method takes hundreds.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..metrics import softmax
from .design import Design, add_up
from .lbfgs import Objective, minimise

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]

L2_GRID = tuple(10.0 ** (-k / 2) for k in range(-2, 11))  # 10 down to 1e-5, factor sqrt(10)
DEFAULT_L2 = 0.1  # where there are too few images to choose
GAP = 1e-9  # estimated distance to the minimum of the mean NLL, relative where that exceeds 1, at which a fit stops
CHOICE_GAP, FOLD_GAP = 1e-5, 3e-7  # the same of the folds: while strengths are compared, and at the one chosen
CHOICE_FLOOR = 0.01  # the folds' gaps are relative to the loss down to this: losses that are compared may be small
CLEAR_RISE = 1.01  # a loss so many times the lowest ends the search
BATCH = 1 << 25  # numbers in the logits of the folds that are solved together


class Head(NamedTuple):
    """A softmax layer on raw features: logits = features @ weight.T + bias; the standardisation is folded in."""

    weight: Floats  # (K, d)
    bias: Floats  # (K,)
    converged: bool

    def logits(self, features: Floats) -> Floats:
        """(n, d) -> (n, K)."""
        return features @ self.weight.T + self.bias


@dataclass(frozen=True)
class Choice:
    """How the L2 strength was chosen.

    Attributes:
        l2: the strength with the lowest NLL on data it was not fitted to.
        path: (strength, NLL) tried, strongest first.
        probs: (n, K) out-of-fold probabilities at the chosen strength.
        start: (r + 1, K) mean of the folds' parameters at the chosen strength: a good start for the fit on all rows.
    """

    l2: float
    path: tuple[tuple[float, float], ...]
    probs: Floats
    start: Floats


def fit_head(
    design: Design, labels: Ints, num_classes: int, l2: float, *, balance: bool = False, start: Floats | None = None
) -> Head:
    """Fit the layer on the rows that the design learns from.

    Args:
        design: the features.
        labels: (n,).
        num_classes: K.
        l2: strength of the penalty on the weights, in units of the mean NLL.
        balance: weigh every class alike, whatever its number of images.
        start: (r + 1, K) parameters to start from; the minimum is the same from anywhere.
    """
    first = np.zeros((design.x.shape[1] + 1, num_classes), np.float32) if start is None else start
    loss = _objective(design, labels, _sample_weights(labels, design.learn, balance)[None], l2)
    parameters, converged = minimise(loss, lambda g: design.precondition(g, l2), first[None], GAP)
    return Head(*design.layer(parameters[0]), converged)


def choose_l2(
    design: Design, labels: Ints, num_classes: int, fold_of: Ints,
    *, balance: bool = False, judged: NDArray[np.bool_] | None = None,
) -> Choice:  # fmt: skip
    """Choose the strength with the lowest out-of-fold NLL, trying from strong to weak until it rises.

    The search ends at a rise of a hundredth, or at a second one however small.

    Args:
        design: the features of all rows; its standardisation sees every fold it learns from, but no label.
        labels: (n,).
        num_classes: K.
        fold_of: (n,) number of the fold that each row is left out of; a negative number is never left out.
        balance: weigh every class alike.
        judged: (n,) those of the rows left out whose NLL counts; all by default. The others, such as augmented views
            of an image, are left out with their fold and judge nothing.
    """
    shape = (design.x.shape[1] + 1, num_classes)
    if len(np.unique(fold_of)) < 2:  # nothing to learn from when the one fold is left out
        uniform = np.full((len(labels), num_classes), 1 / num_classes, np.float32)
        return Choice(DEFAULT_L2, (), uniform, np.zeros(shape, np.float32))
    names = np.unique(fold_of[fold_of >= 0])
    fold_weights = np.stack([_sample_weights(labels, fold_of != name, balance) for name in names])
    score_weights = _sample_weights(labels, fold_of >= 0 if judged is None else judged, balance)
    own = np.searchsorted(names, fold_of)  # row -> place of its fold; rows that are never left out do not count
    p = np.zeros((len(names), *shape), np.float32)
    solved = best = p.copy()
    path: list[tuple[float, float]] = []
    for l2 in L2_GRID:
        before = solved
        solved = _fit_folds(design, labels, fold_weights, l2, p, CHOICE_GAP)
        path.append((l2, _mean_nll(_own_probs(design, solved, own), labels, score_weights)))
        p = 2 * solved - before  # the path is smooth in log(l2): the next solution lies about where this step points to
        lowest = min(value for _, value in path)
        if path[-1][1] == lowest:
            best = solved
        elif path[-1][1] > CLEAR_RISE * lowest or path[-1][1] > path[-2][1] > lowest:
            break
    l2 = min(path, key=lambda step: step[1])[0]
    best = _fit_folds(design, labels, fold_weights, l2, best, FOLD_GAP)
    probs = _own_probs(design, best, own)
    final = _mean_nll(probs, labels, score_weights)
    return Choice(l2, tuple((s, final if s == l2 else nll) for s, nll in path), probs, best.mean(axis=0))


def out_of_fold(
    design: Design, labels: Ints, num_classes: int, fold_of: Ints, l2: float, *,
    trust: Floats | None = None, start: Floats | None = None,
) -> tuple[Floats, Floats]:  # fmt: skip
    """Probabilities of every row by a layer that was fitted on the other folds, as exactly as a choice needs them.

    Args:
        design: the features of all rows.
        labels: (n,).
        num_classes: K.
        fold_of: (n,) number of the fold that each row is left out of; at least two.
        l2: strength of the penalty.
        trust: (n,) share in [0, 1] that each row counts; by default all count alike.
        start: (F, r + 1, K) parameters to start from.

    Returns:
        Probabilities (n, K), and the folds' parameters (F, r + 1, K).
    """
    names, own = np.unique(fold_of, return_inverse=True)
    shares = np.ones(len(labels), np.float32) if trust is None else trust
    weights = np.stack([_sample_weights(labels, fold_of != name, balance=False) * shares for name in names])
    if start is None:
        start = np.zeros((len(names), design.x.shape[1] + 1, num_classes), np.float32)
    solved = _fit_folds(design, labels, weights, l2, start, CHOICE_GAP)
    return _own_probs(design, solved, own), solved


def _mean_nll(probs: Floats, labels: Ints, weights: Floats) -> float:
    picked = np.maximum(probs[np.arange(len(labels)), labels], 1e-12)
    return float(np.average(-np.log(picked), weights=weights))


def _fit_folds(design: Design, labels: Ints, weights: Floats, l2: float, start: Floats, gap: float) -> Floats:
    """Fit every fold from its start, (F, r + 1, K); as many folds at once as memory allows."""
    at_once = max(1, BATCH // (len(labels) * start.shape[2]))
    solved = []
    for first in range(0, len(start), at_once):
        folds = slice(first, first + at_once)
        loss = _objective(design, labels, weights[folds], l2)
        solved.append(minimise(loss, lambda g: design.precondition(g, l2), start[folds], gap, CHOICE_FLOOR)[0])
    return np.concatenate(solved)


def _own_probs(design: Design, p: Floats, own: Ints) -> Floats:
    """Probabilities (n, K) of each row by the parameters of its own fold."""

    def part(rows: slice) -> Floats:
        logits = _logits(design.x[rows], p)
        return softmax(logits[np.arange(len(logits)), np.minimum(own[rows], len(p) - 1)])

    return np.concatenate(design.map(part))


def _logits(x: Floats, p: Floats) -> Floats:
    """(m, r) and (F, r + 1, K) -> (m, F, K), by one matrix product."""
    f, r, k = p.shape[0], p.shape[1] - 1, p.shape[2]
    logits: Floats = (x @ p[:, :-1].transpose(1, 0, 2).reshape(r, f * k)).reshape(len(x), f, k)
    logits += p[:, -1]
    return logits


def _objective(design: Design, labels: Ints, weights: Floats, l2: float) -> Objective:
    """The loss of F problems whose sample weights are (F, n), in chunks of rows."""
    shares = weights / weights.sum(axis=1, keepdims=True)

    def part(p: Floats, rows: slice) -> tuple[Doubles, Floats]:
        x, y, w = design.x[rows], labels[rows], shares[:, rows].T
        logits = _logits(x, p)
        logits -= logits.max(axis=2, keepdims=True)
        each = np.arange(len(y))
        true = logits[each, :, y]
        np.exp(logits, out=logits)
        total = logits.sum(axis=2)
        nll = np.log(total) - true
        logits *= (w / total)[:, :, None]  # from here on the gradient by the logits
        logits[each, :, y] -= w
        gradient = np.empty_like(p)
        residual = logits.reshape(len(y), -1)
        gradient[:, :-1] = (x.T @ residual).reshape(p.shape[1] - 1, len(p), p.shape[2]).transpose(1, 0, 2)
        gradient[:, -1] = logits.sum(axis=0)
        return np.einsum("nf,nf->f", nll, w, dtype=np.float64), gradient

    def loss(p: Floats) -> tuple[Doubles, Floats]:
        values, gradients = zip(*design.map(lambda rows: part(p, rows)), strict=True)
        gradient = add_up(list(gradients))
        gradient[:, :-1] += np.float32(l2) * p[:, :-1]
        penalty = 0.5 * l2 * np.sum(p[:, :-1].astype(np.float64) ** 2, axis=(1, 2))
        return add_up(list(values)) + penalty, gradient

    return loss


def _sample_weights(labels: Ints, rows: NDArray[np.bool_], balance: bool) -> Floats:
    """(n,), 0 outside `rows`; inside alike, or with `balance` alike for every class."""
    weights = rows.astype(np.float32)
    if balance:
        weights[rows] /= np.bincount(labels[rows])[labels[rows]]
    return weights

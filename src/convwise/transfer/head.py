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

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]

L2_GRID = tuple(10.0 ** (-k / 2) for k in range(-2, 11))  # 10 down to 1e-5, factor sqrt(10)
DEFAULT_L2 = 0.1  # where there are too few images to choose
MEMORY = 8  # pairs that L-BFGS remembers
GAP, CHOICE_GAP = 1e-9, 1e-7  # estimated distance to the minimum of the mean NLL at which a fit stops, and a choice
MAX_ITERATIONS = 300
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
    """

    l2: float
    path: tuple[tuple[float, float], ...]
    probs: Floats


class Design:
    """Features, standardised once, with the basis in which their covariance is diagonal.

    With fewer images than features the problem is rotated into the images' own span, which changes nothing (the
    penalty does not see a rotation) and leaves as many unknowns as images.
    """

    def __init__(self, features: Floats, learn: NDArray[np.bool_] | None = None) -> None:
        """Take features (n, d); mean, deviation and basis come from the rows marked in `learn`, (n,), or from all."""
        known = features if learn is None or learn.all() else features[learn]
        self.learn = np.ones(len(features), bool) if learn is None else learn
        n, d = known.shape
        self.mean = known.mean(axis=0, dtype=np.float64)
        std = known.std(axis=0, dtype=np.float64)
        self.std = np.where(std > 1e-8, std, 1.0)
        self.x: Floats = (features - self.mean.astype(np.float32)) / self.std.astype(np.float32)
        known = self.x if known is features else self.x[self.learn]
        self.rotation: Floats | None = None  # (d, r), into the images' span
        self.basis: Floats | None = None  # (d, d), in which the covariance is diagonal
        if n < d:
            eigenvalues, left = np.linalg.eigh(known @ known.T)
            keep = eigenvalues > 1e-6 * max(float(eigenvalues[-1]), 1e-6)
            self.rotation = np.asarray(known.T @ (left[:, keep] / np.sqrt(eigenvalues[keep])), np.float32)
            self.x = self.x @ self.rotation
            self.curvature: Floats = eigenvalues[keep] / n
        else:
            eigenvalues, self.basis = np.linalg.eigh(known.T @ known / np.float32(n))
            self.curvature = np.maximum(eigenvalues, 0)

    def head(self, parameters: Floats, converged: bool) -> Head:
        """Fold rotation and standardisation into a layer on raw features; `parameters` is (r + 1, K), bias last."""
        w = parameters[:-1] if self.rotation is None else self.rotation @ parameters[:-1]
        weight = w.T.astype(np.float64) / self.std
        return Head(weight.astype(np.float32), (parameters[-1] - weight @ self.mean).astype(np.float32), converged)

    def precondition(self, gradient: Floats, l2: float) -> Floats:
        """Multiply (F, r + 1, K) by about the inverse Hessian: 1 / (curvature / 4 + l2) in the features' own basis."""
        scale = (1 / (0.25 * self.curvature + l2)).astype(np.float32)[:, None]
        out = np.empty_like(gradient)
        if self.basis is None:
            out[:, :-1] = gradient[:, :-1] * scale
        else:
            out[:, :-1] = self.basis @ (scale * (self.basis.T @ gradient[:, :-1]))
        out[:, -1] = gradient[:, -1] * 4
        return out


def fit_head(design: Design, labels: Ints, num_classes: int, l2: float, *, balance: bool = False) -> Head:
    """Fit the layer on the rows that the design learns from.

    Args:
        design: the features.
        labels: (n,).
        num_classes: K.
        l2: strength of the penalty on the weights, in units of the mean NLL.
        balance: weigh every class alike, whatever its number of images.
    """
    weights = _sample_weights(labels, design.learn, balance)[None]
    start = np.zeros((1, design.x.shape[1] + 1, num_classes), np.float32)
    parameters, converged = _minimise(design, labels, weights, l2, start, GAP)
    return design.head(parameters[0], converged)


def choose_l2(design: Design, labels: Ints, num_classes: int, fold_of: Ints, *, balance: bool = False) -> Choice:
    """Choose the strength with the lowest out-of-fold NLL, trying from strong to weak until it has risen twice.

    Args:
        design: the features of all rows; its standardisation sees every fold it learns from, but no label.
        labels: (n,).
        num_classes: K.
        fold_of: (n,) number of the fold that each row is left out of; a negative number is never left out.
        balance: weigh every class alike.
    """
    folds = fold_of
    names = np.unique(folds[folds >= 0])
    if len(np.unique(folds)) < 2:  # nothing to learn from when the one fold is left out
        return Choice(DEFAULT_L2, (), np.full((len(labels), num_classes), 1 / num_classes, np.float32))
    fold_weights = np.stack([_sample_weights(labels, folds != name, balance) for name in names])
    score_weights = _sample_weights(labels, folds >= 0, balance)
    starts = np.zeros((len(names), design.x.shape[1] + 1, num_classes), np.float32)
    path: list[tuple[float, float]] = []
    best: tuple[float, Floats] | None = None
    step = max(1, BATCH // (len(labels) * num_classes))
    for l2 in L2_GRID:
        probs = np.zeros((len(labels), num_classes), np.float32)
        for a in range(0, len(names), step):
            batch = slice(a, a + step)
            starts[batch], _ = _minimise(design, labels, fold_weights[batch], l2, starts[batch], CHOICE_GAP)
        for k, name in enumerate(names):
            rows = folds == name
            probs[rows] = softmax(design.x[rows] @ starts[k, :-1] + starts[k, -1])
        nll = -np.log(np.maximum(probs[np.arange(len(labels)), labels], 1e-12))
        path.append((l2, float(np.average(nll, weights=score_weights))))
        if best is None or path[-1][1] < best[0]:
            best = path[-1][1], probs
        elif len(path) >= 3 and path[-1][1] > path[-2][1] > best[0]:
            break
    assert best is not None
    return Choice(min(path, key=lambda p: p[1])[0], tuple(path), best[1])


def _sample_weights(labels: Ints, rows: NDArray[np.bool_], balance: bool) -> Floats:
    """(n,), 0 outside `rows`; inside alike, or with `balance` alike for every class."""
    weights = rows.astype(np.float32)
    if balance:
        weights[rows] /= np.bincount(labels[rows])[labels[rows]]
    return weights


def _loss(design: Design, labels: Ints, weights: Floats, l2: float, p: Floats) -> tuple[Doubles, Floats]:
    """Objective (F,) and gradient (F, r + 1, K) at parameters (F, r + 1, K); `weights` is (F, n) with rows of sum 1."""
    f, r, k = p.shape[0], p.shape[1] - 1, p.shape[2]
    n = len(labels)
    logits = (design.x @ p[:, :-1].transpose(1, 0, 2).reshape(r, f * k)).reshape(n, f, k) + p[:, -1]
    logits -= logits.max(axis=2, keepdims=True)
    true = logits[np.arange(n), :, labels]  # (n, F)
    np.exp(logits, out=logits)
    total = logits.sum(axis=2)
    nll = np.log(total) - true
    logits *= (weights.T / total)[:, :, None]
    logits[np.arange(n), :, labels] -= weights.T
    residual = logits.reshape(n, f * k)
    gradient = np.empty_like(p)
    gradient[:, :-1] = (design.x.T @ residual).reshape(r, f, k).transpose(1, 0, 2) + np.float32(l2) * p[:, :-1]
    gradient[:, -1] = logits.sum(axis=0)
    penalty = 0.5 * l2 * np.sum(p[:, :-1].astype(np.float64) ** 2, axis=(1, 2))
    return np.einsum("nf,fn->f", nll.astype(np.float64), weights.astype(np.float64)) + penalty, gradient


def _dot(a: Floats, b: Floats) -> Doubles:
    """Inner product of (F, r + 1, K) a fold."""
    return np.asarray(np.einsum("frk,frk->f", a, b, dtype=np.float64))


def _minimise(
    design: Design, labels: Ints, weights: Floats, l2: float, start: Floats, gap: float
) -> tuple[Floats, bool]:
    """Minimise F problems at once by L-BFGS; returns the parameters (F, r + 1, K) and whether all converged."""
    weights = weights / weights.sum(axis=1, keepdims=True)
    p = start.copy()
    loss, gradient = _loss(design, labels, weights, l2, p)
    pairs: list[tuple[Floats, Floats, Doubles]] = []  # step, change of gradient, 1 / their product
    done = np.zeros(len(p), bool)
    for _ in range(MAX_ITERATIONS):
        direction = -_inverse_hessian(design, gradient, pairs, l2)
        slope = _dot(gradient, direction)
        done |= -slope / 2 < gap * np.maximum(1, loss)
        if done.all():
            break
        direction[done] = 0
        t = np.ones(len(p))
        for _ in range(20):
            q = p + t.astype(np.float32)[:, None, None] * direction
            new_loss, new_gradient = _loss(design, labels, weights, l2, q)
            too_long = ~done & (new_loss > loss + 1e-4 * t * slope + 1e-7 * np.abs(loss))
            if not too_long.any():
                break
            t[too_long] /= 2
        step, change = q - p, new_gradient - gradient
        product = _dot(step, change)
        inverse = np.where(product > 1e-12, 1 / np.where(product > 1e-12, product, 1), 0)
        pairs = [*pairs[-MEMORY + 1 :], (step, change, inverse)]
        p, loss, gradient = q, new_loss, new_gradient
    return p, bool(done.all())


def _inverse_hessian(
    design: Design, gradient: Floats, pairs: list[tuple[Floats, Floats, Doubles]], l2: float
) -> Floats:
    """Two-loop recursion (Nocedal and Wright, algorithm 7.4) around the design's own inverse Hessian."""
    q, alphas = gradient.copy(), []
    for step, change, inverse in reversed(pairs):
        alpha = inverse * _dot(step, q)
        alphas.append(alpha)
        q -= alpha.astype(np.float32)[:, None, None] * change
    q = design.precondition(q, l2)
    if pairs:
        step, change, inverse = pairs[-1]
        curved = _dot(change, design.precondition(change, l2))
        scale = np.where((inverse > 0) & (curved > 0), 1 / np.maximum(inverse * curved, 1e-30), 1)
        q *= scale.astype(np.float32)[:, None, None]
    for (step, change, inverse), alpha in zip(pairs, reversed(alphas), strict=True):
        beta = inverse * _dot(change, q)
        q += (alpha - beta).astype(np.float32)[:, None, None] * step
    return q

"""L-BFGS for several problems of one shape at once: each has its own steps, all share the matrix products."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Objective = Callable[[Floats], tuple[Doubles, Floats]]  # (F, ...) -> values (F,), gradients (F, ...)
Precondition = Callable[[Floats], Floats]  # (F, ...) -> (F, ...), about the inverse Hessian times that

MEMORY = 8  # pairs that are remembered
MAX_ITERATIONS, HALVINGS = 300, 20
STALLED_GAP = 1e-5  # a problem that can go no further counts as done within this


class _Pair(NamedTuple):
    """A step (F, ...), the change of the gradient along it, 1 / their inner product (F,) or 0 where that is useless."""

    step: Floats
    change: Floats
    inverse: Doubles


def minimise(
    objective: Objective, precondition: Precondition, start: Floats, gap: float, floor: float = 1.0
) -> tuple[Floats, bool]:
    """Minimise F convex problems.

    Args:
        objective: values and gradients at F points.
        precondition: the initial inverse Hessian.
        start: (F, ...).
        gap: estimated distance to the minimum, relative to the value, at which a problem is done.
        floor: values below it count as this much.

    Returns:
        The minima (F, ...), and whether all were reached.

    Source: Nocedal and Wright, Numerical Optimization, 2nd edition, algorithms 7.4 and 7.5, with Armijo's condition.
    """
    p = start.copy()
    value, gradient = objective(p)
    pairs: list[_Pair] = []
    done = stalled = np.zeros(len(p), bool)
    for _ in range(MAX_ITERATIONS):
        direction = -_inverse_hessian(gradient, pairs, precondition)
        slope = _dot(gradient, direction)
        done = -slope / 2 < gap * np.maximum(floor, value)
        if (done | stalled).all():
            return p, bool((-slope / 2 < STALLED_GAP * np.maximum(1, value)).all())
        direction[done | stalled] = 0
        q, new_value, new_gradient, too_long = _line_search(objective, p, direction, value, slope)
        stalled = stalled | too_long  # not a step is short enough: what is left is the noise of float32
        step, change = q - p, new_gradient - gradient
        product = _dot(step, change)
        inverse = np.where(product > 1e-12, 1 / np.where(product > 1e-12, product, 1), 0)
        pairs = [*pairs[-MEMORY + 1 :], _Pair(step, change, inverse)]
        p, value, gradient = q, new_value, new_gradient
    return p, False


def _line_search(
    objective: Objective, p: Floats, direction: Floats, value: Doubles, slope: Doubles
) -> tuple[Floats, Doubles, Floats, NDArray[np.bool_]]:
    """Halve each problem's step until its value falls by Armijo's condition.

    Returns:
        The new points, their values and gradients, and which problems found no step; these stay where they are.
    """
    t = np.ones(len(p))
    noise = 1e-7 * np.maximum(1, np.abs(value))  # of the values, which are sums of float32 logarithms
    for _ in range(HALVINGS):
        q = p + _scaled(t, direction)
        new_value, new_gradient = objective(q)
        too_long = new_value > value + 1e-4 * t * slope + noise
        if not too_long.any():
            return q, new_value, new_gradient, too_long
        t[too_long] /= 2
    t[too_long] = 0
    q = p + _scaled(t, direction)
    new_value, new_gradient = objective(q)
    return q, new_value, new_gradient, too_long


def _inverse_hessian(gradient: Floats, pairs: list[_Pair], precondition: Precondition) -> Floats:
    """Multiply the gradients by the approximate inverse Hessians: the two-loop recursion."""
    q, alphas = gradient.copy(), []
    for pair in reversed(pairs):
        alpha = pair.inverse * _dot(pair.step, q)
        alphas.append(alpha)
        q -= _scaled(alpha, pair.change)
    q = precondition(q)
    if pairs:
        last = pairs[-1]
        curved = last.inverse * _dot(last.change, precondition(last.change))
        q = _scaled(np.where(curved > 0, 1 / np.where(curved > 0, curved, 1), 1), q)
    for pair, alpha in zip(pairs, reversed(alphas), strict=True):
        beta = pair.inverse * _dot(pair.change, q)
        q += _scaled(alpha - beta, pair.step)
    return q


def _dot(a: Floats, b: Floats) -> Doubles:
    """Inner product of each problem's arrays, in double precision; (F,)."""
    return np.asarray(np.einsum("fi,fi->f", a.reshape(len(a), -1), b.reshape(len(b), -1), dtype=np.float64))


def _scaled(factor: Doubles, a: Floats) -> Floats:
    """Multiply each problem's array by its factor."""
    return np.asarray(factor.astype(np.float32).reshape(-1, *[1] * (a.ndim - 1)) * a, np.float32)

"""How the learning rate goes: up over the warm-up, then as the recipe's schedule says."""

import math

from .recipe import Recipe


def rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """Learning rate of a step, as a share of the recipe's peak.

    Args:
        recipe: how.
        step: counted from 0 over all epochs.
        steps_per_epoch: of the optimiser.
    """
    steps = recipe.epochs * steps_per_epoch
    warm_up = max(1, int(recipe.warm_up * steps)) if recipe.warm_up else 0
    if step < warm_up:
        return (step + 1) / warm_up
    left = max(0.0, (steps - step) / max(1, steps - warm_up))
    if recipe.schedule == "linear":
        return left
    if recipe.schedule == "cosine":
        return 0.5 - 0.5 * math.cos(math.pi * left)
    return next((share for epoch, share in reversed(recipe.drops) if step >= epoch * steps_per_epoch), 1.0)

"""The optimiser of a recipe, and the running average of the weights."""

import torch
from torch import nn

from .recipe import Recipe


def make_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Build the optimiser; biases and norms, which are vectors, stand apart where they do not decay."""
    learnt = [p for p in network.parameters() if p.requires_grad]
    decayed = [p for p in learnt if p.ndim > 1 or recipe.decay_all]
    rest = [p for p in learnt if not (p.ndim > 1 or recipe.decay_all)]
    groups = [
        {"params": params, "weight_decay": decay}
        for params, decay in ((decayed, recipe.weight_decay), (rest, 0.0))
        if params
    ]
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, recipe.lr, recipe.betas, fused=True)
    if recipe.optimizer == "rmsprop":
        return torch.optim.RMSprop(groups, recipe.lr, alpha=0.9, eps=1e-3, momentum=recipe.momentum)
    nesterov = recipe.nesterov and recipe.momentum > 0
    return torch.optim.SGD(groups, recipe.lr, recipe.momentum, nesterov=nesterov, fused=True)


@torch.no_grad()
def average(ema: nn.Module, network: nn.Module, decay: float, steps: int) -> None:
    """Move the averaged weights and statistics towards the present ones.

    The decay grows with the number of steps, min(decay, (1 + steps) / (10 + steps)), so that the random weights of the
    start do not last; as in TensorFlow's ExponentialMovingAverage with num_updates.
    """
    share = 1 - min(decay, (1 + steps) / (10 + steps))
    for old, new in zip(ema.state_dict().values(), network.state_dict().values(), strict=True):
        if old.is_floating_point():
            old.lerp_(new, share)
        else:
            old.copy_(new)

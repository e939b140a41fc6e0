"""The optimiser of a recipe, and the running average of the weights."""

from typing import Any

import torch
from torch import nn

from .recipe import Recipe


class RMSprop(torch.optim.Optimizer):
    """RMSprop as TensorFlow computes it, since the rates of the papers were chosen for that.

    Unlike torch's, it adds epsilon under the root, begins with a mean square of 1, and its momentum sums steps that
    have their rate already. Of each parameter p the mean square g2 and the momentum m are kept; with its gradient g

        g2 = DECAY * g2 + (1 - DECAY) * g**2,    m = momentum * m + lr * g / sqrt(g2 + epsilon),    p = p - m

    Source: tf.train.RMSPropOptimizer, not centred.
    """

    DECAY = 0.9

    def __init__(self, groups: list[dict[str, Any]], lr: float, *, momentum: float, epsilon: float) -> None:
        super().__init__(groups, {"lr": lr, "momentum": momentum, "epsilon": epsilon})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        """Move the parameters; weight decay is a penalty, a part of the gradient."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                kept = self.state[p]
                if not kept:
                    kept.update(mean_square=torch.ones_like(p), momentum=torch.zeros_like(p))
                gradient = p.grad.add(p, alpha=group["weight_decay"])
                kept["mean_square"].mul_(self.DECAY).addcmul_(gradient, gradient, value=1 - self.DECAY)
                root = kept["mean_square"].add(group["epsilon"]).sqrt_()
                kept["momentum"].mul_(group["momentum"]).addcdiv_(gradient, root, value=group["lr"])
                p.sub_(kept["momentum"])


def make_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Build the optimiser, one group for each decay and rate; a group's `scale` times the recipe's rate is its rate.

    Biases and norms, which are vectors, stand apart where they do not decay.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, p in network.named_parameters():
        if p.requires_grad:
            decay = recipe.weight_decay if p.ndim > 1 or recipe.decay_all else 0.0
            groups.setdefault((recipe.layer_decay ** stages_behind(network, name), decay), []).append(p)
    given = [
        {"params": groups[scale, decay], "weight_decay": decay, "scale": scale}
        for scale, decay in sorted(groups, reverse=True)
    ]
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(given, recipe.lr, recipe.betas, fused=True)
    if recipe.optimizer == "rmsprop":
        return RMSprop(given, recipe.lr, momentum=recipe.momentum, epsilon=recipe.epsilon)
    nesterov = recipe.nesterov and recipe.momentum > 0
    return torch.optim.SGD(given, recipe.lr, recipe.momentum, nesterov=nesterov, fused=True)


def stages_behind(network: nn.Module, parameter: str) -> int:
    """How many stages lie behind that of a parameter, the head counted as one; 0 of what stands in no stage."""
    part, _, rest = parameter.partition(".")
    names = [name for name, _ in network.get_submodule("stages").named_children()] if part in ("stem", "stages") else []
    if part == "stages":
        return len(names) - names.index(rest.partition(".")[0])
    return len(names) + 1 if part == "stem" else 0


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

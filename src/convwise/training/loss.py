"""What a step makes smaller: the loss over a batch, that of auxiliary heads included."""

from collections.abc import Callable
from typing import Protocol, cast

from torch import Tensor
from torch.nn import functional as F

from .batches import Batch
from .recipe import Recipe


class WithAux(Protocol):
    """A network that has auxiliary heads."""

    def forward_aux(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Logits, and those of each auxiliary head."""
        ...


def loss_of(network: Callable[[Tensor], Tensor], recipe: Recipe, batch: Batch) -> Tensor:
    """Mean loss over a batch of normalised pixels (B, C, H, W), that of auxiliary heads included."""

    def mean_loss(logits: Tensor) -> Tensor:
        smoothing = recipe.label_smoothing
        losses = F.cross_entropy(logits.float(), batch.labels, reduction="none", label_smoothing=smoothing)
        return (losses * batch.weights).mean()

    if not recipe.auxiliary:
        return mean_loss(network(batch.pixels))
    logits, *others = all_logits(network, batch.pixels)
    return mean_loss(logits) + sum(recipe.auxiliary * mean_loss(other) for other in others)


def all_logits(network: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, ...]:
    """Those of the network, then those of its auxiliary heads, where it has some."""
    if not getattr(network, "aux", None):
        return (network(x),)
    logits, others = cast("WithAux", network).forward_aux(x)
    return logits, *others

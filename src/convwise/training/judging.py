"""How a network is judged by the images that choose the epoch."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ..metrics import fit_temperature
from .batches import Images
from .recipe import Recipe

Normalise = Callable[[Tensor], Tensor]

AT_ONCE = 64  # images; more of them are hardly faster
RULE = "NLL at its own temperature"  # by which epochs are compared, as a checkpoint knows it
LITTLE = 100_000_000  # bytes, about what the libraries take on top


class Judge(NamedTuple):
    """Judges networks.

    Attributes:
        images: by which.
        normalise: makes their pixels the input of a network.
        at_once: images that a network looks at.
    """

    images: Images
    normalise: Normalise
    at_once: int

    def score(self, network: nn.Module) -> tuple[float, float]:
        """Mean NLL in nats at the temperature that suits these images, and the share right; nan without numbers.

        A classifier gets such a temperature. Without it a later epoch, which is right more often and too sure of it,
        would lose to an earlier one.
        """
        probs, labels = self.probs(network).numpy(), self.images.labels.numpy()
        if not np.isfinite(probs).all():
            return math.nan, math.nan
        return fit_temperature(labels, probs).nll, float((probs.argmax(axis=1) == labels).mean())

    @torch.no_grad()
    def probs(self, network: nn.Module) -> Tensor:
        """Probabilities (n, K) in evaluation mode; in float32, as the classifier will give them."""
        network.eval()
        pieces = self.images.pixels.split(self.at_once)
        return torch.cat([network(self.normalise(pixels)).softmax(dim=1).cpu() for pixels in pieces])


def judged_at_once(image_bytes: int, recipe: Recipe) -> int:
    """How many images are judged at once, where the activations of one take so many bytes.

    As many as train at once; up to 64 where these need little memory, since a recipe may train on single images.
    """
    return max(recipe.piece, min(AT_ONCE, LITTLE // image_bytes))

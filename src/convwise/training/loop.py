"""Training a network from pixels: one plain loop, on prepared images in memory."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ..data.preprocessing import Preprocessing
from ..errors import DataError
from ..progress import Track


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a network is trained.

    Attributes:
        epochs: passes over the training images.
        batch: images a step.
        lr: peak of the learning rate; it rises over the first tenth of the steps and falls linearly to 0.
        momentum: Nesterov's.
        weight_decay: of SGD.
        seed: of the initial weights, the order of the images and dropout.
        time_limit: seconds after which the epoch under way is the last one; None has none.

    Source of the defaults: our measurements with LeNet-5 on held-out training images.
    """

    epochs: int = 30
    batch: int = 32
    lr: float = 0.02
    momentum: float = 0.9
    weight_decay: float = 5e-4
    seed: int = 0
    time_limit: float | None = None


class Images(NamedTuple):
    """Prepared pixels, uint8 (n, H, W, C), their labels (n,) and, for a loss, their weights (n,) of mean 1."""

    pixels: Tensor
    labels: Tensor
    weights: Tensor


class Epoch(NamedTuple):
    """One row of the history: NLL in nats on what trains and on what chooses, and the share right there."""

    epoch: int
    train_nll: float
    choice_nll: float
    choice_top1: float
    seconds: float


class Trained(NamedTuple):
    """The network with the weights of its best epoch, its probabilities (m, K) on what chose, and the history."""

    network: nn.Module
    probs: NDArray[np.float32]
    history: tuple[Epoch, ...]


def train(
    build: Callable[[], nn.Module], recipe: Recipe, preprocessing: Preprocessing, fit: Images, choose: Images,
    *, threads: int, track: Track,
) -> Trained:  # fmt: skip
    """Train a network; of all epochs the one with the lowest NLL on `choose` counts.

    Args:
        build: makes the network, drawing its weights from torch's generator.
        recipe: how.
        preprocessing: gives mean and std, by which the pixels are normalised.
        fit: what the weights learn from.
        choose: what chooses the epoch.
        threads: of torch; another number gives slightly other weights.
        track: shows progress over the epochs.

    Raises:
        DataError: the loss is not a number from the first epoch on.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            return _train(build(), recipe, preprocessing, fit, choose, track)
    finally:
        torch.set_num_threads(before)


def _train(
    network: nn.Module, recipe: Recipe, preprocessing: Preprocessing, fit: Images, choose: Images, track: Track
) -> Trained:
    network.to(memory_format=torch.channels_last)
    normalise = _normaliser(preprocessing)
    optimizer = torch.optim.SGD(
        network.parameters(), recipe.lr, recipe.momentum, weight_decay=recipe.weight_decay, nesterov=True
    )
    steps = recipe.epochs * len(batch_sizes(len(fit.labels), recipe.batch))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: triangle(step, steps))
    history: list[Epoch] = []
    best: dict[str, Tensor] = {}
    best_probs = np.empty(0, np.float32)
    start = time.monotonic()
    for epoch in track(range(recipe.epochs), recipe.epochs, "epochs at most" if recipe.time_limit else "epochs"):
        torch.manual_seed(recipe.seed * 1_000_003 + epoch + 1)  # order and dropout follow from seed and epoch alone
        train_nll = train_epoch(network, batches(fit, recipe.batch, normalise), optimizer, schedule)
        probs = predict(network, choose, normalise, recipe.batch)
        nll, top1 = _score(probs, choose.labels)
        if math.isfinite(nll) and (not best or nll < min(row.choice_nll for row in history)):
            best = {name: tensor.clone() for name, tensor in network.state_dict().items()}
            best_probs = probs.numpy()
        history.append(Epoch(epoch + 1, train_nll, nll, top1, round(time.monotonic() - start, 3)))
        if not math.isfinite(train_nll) or (recipe.time_limit and time.monotonic() - start > recipe.time_limit):
            break
    if not best:
        raise DataError(
            f"training diverged in epoch 1: the loss is {history[0].train_nll}; look at the images with `convwise scan`"
        )
    network.load_state_dict(best)
    return Trained(network.eval(), best_probs, tuple(history))


def train_epoch(
    network: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor, Tensor]],
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
) -> float:
    """Take one step a batch of (pixels, labels, weights); returns the mean loss."""
    network.train()
    total, count = 0.0, 0
    for x, labels, weights in batches:
        loss = (F.cross_entropy(network(x), labels, reduction="none") * weights).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        total, count = total + loss.item() * len(labels), count + len(labels)
    return total / count


def batches(
    images: Images, size: int, normalise: Callable[[Tensor], Tensor]
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield the images in a random order, normalised, (B, C, H, W)."""
    n = len(images.labels)
    for rows in torch.randperm(n).split(batch_sizes(n, size)):
        yield normalise(images.pixels[rows]), images.labels[rows], images.weights[rows]


def batch_sizes(n: int, size: int) -> list[int]:
    """How n images fall into batches; one left alone joins the last, since batch norm cannot train on it."""
    sizes = [size] * (n // size) + ([n % size] if n % size else [])
    return [*sizes[:-2], size + 1] if n > size and n % size == 1 else sizes


@torch.no_grad()
def predict(network: nn.Module, images: Images, normalise: Callable[[Tensor], Tensor], size: int) -> Tensor:
    """Probabilities (n, K) in evaluation mode, `size` images at once."""
    network.eval()
    return torch.cat([network(normalise(pixels)).softmax(dim=1) for pixels in images.pixels.split(size)])


def triangle(step: int, steps: int) -> float:
    """Share of the peak learning rate: up over the first tenth of the steps, then linearly down."""
    warm_up = max(1, steps // 10)
    return min((step + 1) / warm_up, max(0.0, (steps - step) / max(1, steps - warm_up)))


def _normaliser(preprocessing: Preprocessing) -> Callable[[Tensor], Tensor]:
    mean, std = torch.tensor(preprocessing.mean), torch.tensor(preprocessing.std)

    def normalise(pixels: Tensor) -> Tensor:
        """(B, H, W, C) uint8 -> (B, C, H, W); the strides stay, which is channels_last."""
        return ((pixels.float() - mean) / std).permute(0, 3, 1, 2)

    return normalise


def _score(probs: Tensor, labels: Tensor) -> tuple[float, float]:
    picked = probs[torch.arange(len(labels)), labels].clamp_min(1e-12)
    return -picked.log().mean().item(), (probs.argmax(dim=1) == labels).float().mean().item()

"""What the loop is fed: batches of an epoch, which follow from the seed and the epoch alone."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import torch
from torch import Tensor


class Images(NamedTuple):
    """Prepared pixels, uint8 (n, H, W, C), their labels (n,) and, for a loss, their weights (n,) of mean 1."""

    pixels: Tensor
    labels: Tensor
    weights: Tensor


class Batch(NamedTuple):
    """Pixels in levels of 0..255, uint8 or float (B, H, W, C), labels (B,) or shares (B, K), and weights (B,)."""

    pixels: Tensor
    labels: Tensor
    weights: Tensor


class Batches(Protocol):
    """Training images in batches."""

    @property
    def sizes(self) -> list[int]:
        """Images in each batch of an epoch, the same in every epoch."""
        ...

    def epoch(self, epoch: int, first: int) -> Iterator[Batch]:
        """Yield the batches of an epoch from number `first` on; they follow from the seed and the epoch alone."""
        ...


class InMemory:
    """Images in memory, in a random order, as they are."""

    def __init__(self, images: Images, batch: int, seed: int) -> None:
        self.images, self.sizes, self._seed = images, batch_sizes(len(images.labels), batch), seed

    def epoch(self, epoch: int, first: int) -> Iterator[Batch]:
        """Yield the batches of an epoch from number `first` on."""
        images, generator = self.images, torch.Generator().manual_seed(epoch_seed(self._seed, epoch))
        order = torch.randperm(len(images.labels), generator=generator)
        for rows in order.split(self.sizes)[first:]:
            yield Batch(images.pixels[rows], images.labels[rows], images.weights[rows])


def epoch_seed(seed: int, epoch: int) -> int:
    """A seed for one epoch, another one than those of its neighbours and of other runs."""
    return (seed * 1_000_003 + epoch + 1) % 2**63


def batch_sizes(n: int, size: int) -> list[int]:
    """How n images fall into batches; one left alone joins the last, since batch norm cannot train on it."""
    sizes = [size] * (n // size) + ([n % size] if n % size else [])
    return [*sizes[:-2], size + 1] if n > size and n % size == 1 else sizes

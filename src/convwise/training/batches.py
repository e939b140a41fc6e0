"""What the loop is fed: batches of an epoch, which follow from the seed and the epoch alone."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from ..data.augmentation import batches as drawn
from ..data.preprocessing import Preprocessing
from .recipe import Recipe


class Inputs(Protocol):
    """What goes into the network that is trained: a `Preprocessing` says it of pixels."""

    @property
    def mean(self) -> tuple[float, ...]:
        """Taken off, a channel or for all."""
        ...

    @property
    def std(self) -> tuple[float, ...]:
        """Divided by after that."""
        ...

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, channels)."""
        ...


class Activations(NamedTuple):
    """What a frozen part made of pixels, as input of the part behind it: taken as it is."""

    shape: tuple[int, int, int]
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)


class Images(NamedTuple):
    """Prepared pixels, uint8 (n, H, W, C), or activations, float16; labels (n,), or shares (n, K); weights (n,).

    Weights are for a loss, of mean 1. Shares add up to 1.
    """

    pixels: Tensor
    labels: Tensor
    weights: Tensor


class Batch(NamedTuple):
    """Levels of 0..255, uint8 or float (B, H, W, C), or activations; labels (B,) or shares (B, K); weights."""

    pixels: Tensor
    labels: Tensor
    weights: Tensor

    def to(self, device: str) -> "Batch":
        """Move it there."""
        return Batch(*(tensor.to(device) for tensor in self))


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


class CachedViews:
    """What a frozen part made of k views of each image, float16 (n, h, w, C) each; epoch e takes view e modulo k."""

    def __init__(self, views: Sequence[Tensor], labels: Tensor, weights: Tensor, batch: int, seed: int) -> None:
        self._epochs = [InMemory(Images(view, labels, weights), batch, seed) for view in views]
        self.sizes = self._epochs[0].sizes

    def epoch(self, epoch: int, first: int) -> Iterator[Batch]:
        """Yield the batches of an epoch from number `first` on."""
        return self._epochs[epoch % len(self._epochs)].epoch(epoch, first)


class Augmented:
    """Images that are changed anew in every epoch, made in threads a little ahead of their use.

    Args:
        images: pixels by number, uint8 (H, W, channels) of any size.
        labels: (n,), or shares (n, K).
        weights: (n,), of mean 1, for a loss.
        recipe: gives seed, batch and augmentation.
        preprocessing: the evaluation's; channels and resolution are its.
        num_classes: K.
        threads: that decode and augment; their number changes no bit.
    """

    def __init__(
        self, images: drawn.Images, labels: Tensor, weights: Tensor, *, recipe: Recipe, preprocessing: Preprocessing,
        num_classes: int, threads: int,
    ) -> None:  # fmt: skip
        self.sizes = batch_sizes(len(labels), recipe.batch)
        self._images, self._labels, self._weights = images, labels, weights
        self._recipe, self._preprocessing = recipe, preprocessing
        self._num_classes, self._threads = num_classes, threads

    def epoch(self, epoch: int, first: int) -> Iterator[Batch]:
        """Yield the batches of an epoch from number `first` on."""
        order = drawn.Epoch.shuffled(self._recipe.seed, epoch, self.sizes)
        for batch in drawn.batches(
            self._images, order, self._recipe.augmentation, self._preprocessing, threads=self._threads, first=first
        ):
            yield Batch(torch.from_numpy(batch.pixels), *self._answers(batch))

    def _answers(self, batch: drawn.Batch) -> tuple[Tensor, Tensor]:
        """Labels and weights: of mixtures shares (B, K), so that each part counts by its share and its own weight."""
        samples, partners = torch.from_numpy(batch.samples), torch.from_numpy(batch.partners)
        if not self._recipe.augmentation.mixes:
            return self._labels[samples], self._weights[samples]
        share = torch.from_numpy(batch.shares)
        own, other = share * self._weights[samples], (1 - share) * self._weights[partners]
        weights = own + other
        mixed = own[:, None] * self._shares(samples) + other[:, None] * self._shares(partners)
        return mixed / weights[:, None], weights

    def _shares(self, samples: Tensor) -> Tensor:
        """Labels as shares (B, K)."""
        labels = self._labels[samples]
        return labels if labels.ndim == 2 else one_hot(labels, self._num_classes).float()


def epoch_seed(seed: int, epoch: int) -> int:
    """A seed for one epoch, another one than those of its neighbours and of other runs."""
    return (seed * 1_000_003 + epoch + 1) % 2**63


def batch_sizes(n: int, size: int) -> list[int]:
    """How n images fall into batches; one left alone joins the last, since batch norm cannot train on it."""
    sizes = [size] * (n // size) + ([n % size] if n % size else [])
    return [*sizes[:-2], size + 1] if n > size and n % size == 1 else sizes

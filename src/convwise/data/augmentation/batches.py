"""Batches of augmented images in the order of an epoch, made in threads a little ahead of their use."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple, Protocol, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from ..preprocessing import Preprocessing
from ..threads import map_in_order
from . import hashing
from .applying import apply_all
from .drawing import draw
from .mixing import mix
from .record import Augmentation
from .warping import Pixels

Samples = NDArray[np.int64]

ORDER_STREAM = 1000  # far from those of drawing.py
LEAST_BYTES = 200_000  # of pixels a thread makes at a time: of small images fewer would cost more than they are


class Images(Protocol):
    """Something that gives the decoded pixels of a sample by its number, uint8 (H, W, channels), in any thread."""

    def __getitem__(self, sample: int, /) -> Pixels:
        """The pixels of one image; nobody writes into them."""
        ...


class Batch(NamedTuple):
    """B augmented images, not yet normalised, and what their labels are made of.

    Attributes:
        pixels: uint8 (B, H, W, channels).
        samples: number of each image's sample (B,).
        partners: number of the sample that is mixed in (B,); its own where nothing is.
        shares: of the sample in its image (B,), float32; the loss is share x loss of the sample's label + (1 - share)
            x loss of the partner's.
    """

    pixels: Pixels
    samples: Samples
    partners: Samples
    shares: NDArray[np.float32]


@dataclass(frozen=True)
class Epoch:
    """One pass over the samples: their order, and how many make up each batch.

    Attributes:
        seed: of the training.
        number: of the epoch.
        order: samples in the order of use (n,); the partner of the last one is the first.
        sizes: of the batches; they add up to n.
    """

    seed: int
    number: int
    order: Samples
    sizes: tuple[int, ...]

    @classmethod
    def shuffled(cls, seed: int, number: int, sizes: Sequence[int]) -> Self:
        """Order the samples 0 to n - 1 by a hash of seed, epoch and sample."""
        samples = np.arange(sum(sizes))
        words = hashing.word(hashing.states(seed, number, samples), ORDER_STREAM)
        return cls(seed, number, np.argsort(words, kind="stable"), tuple(sizes))


class _Part(NamedTuple):
    """Some images of a batch: what one thread does at a time."""

    batch: Batch
    start: int
    stop: int
    place: int  # of the first, in the epoch


def batches(
    images: Images, epoch: Epoch, augmentation: Augmentation, preprocessing: Preprocessing,
    *, threads: int, first: int = 0,
) -> Iterator[Batch]:  # fmt: skip
    """Yield the batches of an epoch.

    What is in them follows from seed, epoch and sample alone: it is the same at any number of threads, in batches of
    any size, and from any batch on. At most two batches and a part are made ahead of their use; of small images, whose
    part is never below 0.2 MB, four parts a thread.

    Args:
        images: pixels by sample.
        epoch: which sample is where.
        augmentation: what is drawn.
        preprocessing: the evaluation's; channels and resolution are its.
        threads: that work; 0 works where the batch is asked for.
        first: number of the first batch; those before are not made.
    """

    def fill(part: _Part) -> _Part:
        _fill(part, images, epoch, augmentation, preprocessing)
        return part

    parts = _parts(epoch, first, preprocessing, max(1, threads))
    with without_its_own_threads():
        for part in map_in_order(fill, parts, threads) if threads else map(fill, parts):
            if part.stop == len(part.batch.samples):
                yield part.batch


@contextmanager
def without_its_own_threads() -> Iterator[None]:
    """Let OpenCV work in the thread that calls it: images are worked on side by side already."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def _parts(epoch: Epoch, first: int, preprocessing: Preprocessing, threads: int) -> Iterator[_Part]:
    """Divide the batches; the memory of one is taken when its first part is."""
    place = sum(epoch.sizes[:first])
    for size in epoch.sizes[first:]:
        samples = epoch.order[place : place + size]
        pixels = np.empty((size, *preprocessing.shape), np.uint8)
        batch = Batch(pixels, samples, samples.copy(), np.ones(size, np.float32))
        step = max(-(-size // (2 * threads)), LEAST_BYTES // pixels[0].nbytes)  # four in flight a thread: two batches
        for start in range(0, size, step):
            yield _Part(batch, start, min(size, start + step), place + start)
        place += size


def _fill(part: _Part, images: Images, epoch: Epoch, augmentation: Augmentation, preprocessing: Preprocessing) -> None:
    batch, mine, count = part.batch, slice(part.start, part.stop), part.stop - part.start
    places = np.arange(part.place, part.place + count + augmentation.mixes) % len(epoch.order)
    samples = epoch.order[places]  # with the partner of the last one
    draws = draw(augmentation, epoch.seed, epoch.number, samples)
    out = np.empty((len(samples), *preprocessing.shape), np.uint8) if augmentation.mixes else batch.pixels[mine]
    apply_all((images[sample] for sample in samples.tolist()), draws, preprocessing, out)
    if augmentation.mixes:
        # in this order each partner is still itself
        batch.shares[mine] = [mix(*pair) for pair in zip(out[:-1], out[1:], draws, strict=False)]
        batch.pixels[mine], batch.partners[mine] = out[:-1], samples[1:]

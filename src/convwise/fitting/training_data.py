"""What a network that is trained from scratch is given: images to learn from, and images that choose the epoch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..data import decoding
from ..data.augmentation.batches import Images as Wholes
from ..data.files import FileImages
from ..data.preprocessing import Preprocessing
from ..data.reduction import Reduction
from ..errors import DataError
from ..runtime.cache import key_of
from ..training.batches import Augmented, Batches, Images, InMemory
from ..training.recipe import UNCHANGED, Recipe
from .task import Floats, Mask, Task

FROM_FILES = (
    "prepared images found no room, so training read and decoded the files in every epoch; a larger CONVWISE_CACHE_GB, "
    "or more free disk, spares that"
)
BLOCK = 32  # images whose pixels are counted at once


@dataclass(frozen=True)
class TrainingData:
    """Images to learn from and to choose by.

    Attributes:
        learn, choose: which samples these are.
        preprocessing: with mean and std of the images to learn from.
        fit: what the weights learn from.
        judged: what chooses the epoch, as an evaluation sees it.
        fingerprint: hash of what decides the pixels, labels and weights.
        notes: what a user should know.
    """

    learn: Mask
    choose: Mask
    preprocessing: Preprocessing
    fit: Batches
    judged: Images
    fingerprint: str
    notes: tuple[str, ...] = ()


def training_data(
    rows: Sequence[Any], task: Task, recipe: Recipe, preprocessing: Preprocessing, *, threads: int
) -> TrainingData:  # fmt: skip
    """Share the images out: `val`, or the tenth of `train` held out by hash, chooses.

    Args:
        rows: pixels as an evaluation sees them (n, H, W, C); and, where the recipe changes them, whole images if they
            found room.
        task: whose samples these are.
        recipe: how training goes.
        preprocessing: of the evaluation; its mean and std are replaced.
        threads: that augment.

    Raises:
        DataError: too few images to learn from.
    """
    learn = task.train & ~task.held_out
    if learn.sum() < 2:
        raise DataError("training from scratch needs two images or more to learn from; add images to `train`")
    choose = task.val if task.val.any() else task.held_out
    pixels, weights = rows[0], _weights(task, learn, recipe)
    mean, std = pixel_statistics(pixels, learn)
    preprocessing = replace(preprocessing, mean=mean, std=std)
    judged = Images(*_tensors((pixels, task.labels, weights), choose))
    same = _fingerprint(task, (learn, choose), weights, preprocessing)
    labels, weights_of = _tensors((task.labels, weights), learn)
    if recipe.augmentation == UNCHANGED:
        plain = InMemory(Images(torch.from_numpy(pixels[learn]), labels, weights_of), recipe.batch, recipe.seed)
        return TrainingData(learn, choose, preprocessing, plain, judged, same)
    fit = Augmented(
        _whole(rows, task, learn, preprocessing), labels, weights_of, recipe=recipe, preprocessing=preprocessing,
        num_classes=task.num_classes, threads=threads,
    )  # fmt: skip
    return TrainingData(learn, choose, preprocessing, fit, judged, same, () if len(rows) > 1 else (FROM_FILES,))


def _whole(rows: Sequence[Any], task: Task, learn: Mask, preprocessing: Preprocessing) -> Wholes:
    """Whole images of those to learn from: the prepared ones, or from their files, which are the same pixels."""
    numbers = np.flatnonzero(learn).tolist()
    if len(rows) > 1:
        return [rows[1][i] for i in numbers]
    return FileImages(task.listing, [task.samples[i] for i in numbers], Reduction.for_training(preprocessing))


def pixel_statistics(pixels: NDArray[np.uint8], learn: Mask) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation a channel of (n, H, W, C), in levels of 0..255, by exact counts of the levels.

    Images go by blocks, since counting takes eight bytes a pixel.
    """
    counts = np.zeros((pixels.shape[3], 256))
    numbers = np.flatnonzero(learn)
    for begin in range(0, len(numbers), BLOCK):
        block = np.moveaxis(pixels[numbers[begin : begin + BLOCK]], 3, 0)
        counts += [np.bincount(channel.ravel(), minlength=256) for channel in block]
    levels = np.arange(256.0)
    means = [float(np.average(levels, weights=row)) for row in counts]
    variances = [np.average((levels - mean) ** 2, weights=row) for mean, row in zip(means, counts, strict=True)]
    return tuple(means), tuple(max(1.0, float(np.sqrt(variance))) for variance in variances)


def _weights(task: Task, learn: Mask, recipe: Recipe) -> Floats:
    """Of every sample in the loss: 1, or with `balance` such that all classes weigh alike and the mean is 1."""
    weights = np.ones(len(task.labels), np.float32)
    if recipe.balance:
        counts = np.bincount(task.labels[learn], minlength=task.num_classes)
        weights[learn] = learn.sum() / (np.count_nonzero(counts) * counts[task.labels[learn]])
    return weights


def _fingerprint(task: Task, masks: tuple[Mask, Mask], weights: Floats, preprocessing: Preprocessing) -> str:
    """Hash of the files of each mask with their labels and weights, and of the rules that make pixels of them."""
    shares = [
        [[task.samples[i].sha256, int(task.labels[i]), float(weights[i])] for i in np.flatnonzero(mask).tolist()]
        for mask in masks
    ]
    return key_of({"images": shares, "preprocessing": preprocessing.to_json(), "decoding": decoding.rule()})


def _tensors(parts: Sequence[NDArray[Any]], mask: Mask) -> Iterator[torch.Tensor]:
    return (torch.from_numpy(np.ascontiguousarray(part[mask])) for part in parts)

"""What a network that is trained from scratch is given: images to learn from, and images that choose the epoch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..data.preprocessing import Preprocessing
from ..errors import DataError
from ..training.batches import Batches, Images, InMemory
from ..training.checkpoint import fingerprint
from ..training.recipe import Recipe
from .task import Floats, Mask, Task


@dataclass(frozen=True)
class TrainingData:
    """Images to learn from and to choose by.

    Attributes:
        learn, choose: which samples these are.
        preprocessing: with mean and std of the images to learn from.
        fit: what the weights learn from.
        judged: what chooses the epoch.
        fingerprint: hash of all of it.
    """

    learn: Mask
    choose: Mask
    preprocessing: Preprocessing
    fit: Batches
    judged: Images
    fingerprint: str


def training_data(rows: NDArray[np.uint8], task: Task, recipe: Recipe, preprocessing: Preprocessing) -> TrainingData:
    """Share the prepared pixels (n, H, W, C) out: `val`, or the tenth of `train` held out by hash, chooses.

    Raises:
        DataError: too few images to learn from.
    """
    learn = task.train & ~task.held_out
    if learn.sum() < 2:
        raise DataError("training from scratch needs two images or more to learn from; add images to `train`")
    choose = task.val if task.val.any() else task.held_out
    mean, std = pixel_statistics(rows[learn])
    parts = (rows, task.labels, _weights(task, learn, recipe))
    learnt, judged = _images(parts, learn), _images(parts, choose)
    fit = InMemory(learnt, recipe.batch, recipe.seed)
    return TrainingData(
        learn, choose, replace(preprocessing, mean=mean, std=std), fit, judged, fingerprint(*learnt, *judged)
    )


def pixel_statistics(pixels: NDArray[np.uint8]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation a channel of (n, H, W, C), in levels of 0..255, by exact counts of the levels."""
    levels = np.arange(256.0)
    means, stds = [], []
    for channel in range(pixels.shape[3]):
        counts = np.bincount(pixels[..., channel].ravel(), minlength=256)
        mean = float(np.average(levels, weights=counts))
        means.append(mean)
        stds.append(max(1.0, float(np.sqrt(np.average((levels - mean) ** 2, weights=counts)))))
    return tuple(means), tuple(stds)


def _weights(task: Task, learn: Mask, recipe: Recipe) -> Floats:
    """Of every sample in the loss: 1, or with `balance` such that all classes weigh alike and the mean is 1."""
    weights = np.ones(len(task.labels), np.float32)
    if recipe.balance:
        counts = np.bincount(task.labels[learn], minlength=task.num_classes)
        weights[learn] = learn.sum() / (np.count_nonzero(counts) * counts[task.labels[learn]])
    return weights


def _images(parts: Sequence[NDArray[Any]], mask: Mask) -> Images:
    return Images(*(torch.from_numpy(np.ascontiguousarray(part[mask])) for part in parts))

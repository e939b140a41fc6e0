"""What a network that is trained as a whole is given: images to learn from, and images that choose the epoch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.preprocessing import Preprocessing
from ..data.reduction import Reduction
from ..training.batches import Augmented, Batches, Images, InMemory, Inputs
from ..training.recipe import UNCHANGED, Recipe
from .portions import Portions
from .task import Mask, Task
from .whole_images import coloured, whole_images

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
        preprocessing: of the evaluation, with its final mean and std.
        recipe: with the principal colours of the images to learn from, where it asks for their own.
        inputs: what the trained part takes, and how it is normalised.
        fit: what the weights learn from.
        judged: what chooses the epoch, as an evaluation sees it.
        fingerprint: hash of what decides the pixels, labels and weights.
        notes: what a user should know.
    """

    learn: Mask
    choose: Mask
    preprocessing: Preprocessing
    recipe: Recipe
    inputs: Inputs
    fit: Batches
    judged: Images
    fingerprint: str
    notes: tuple[str, ...] = ()


def training_data(
    rows: Sequence[Any], task: Task, recipe: Recipe, preprocessing: Preprocessing, *, threads: int,
    levels_known: bool = False,
) -> TrainingData:  # fmt: skip
    """Share the images out: `val`, or the tenth of `train` held out by hash, chooses.

    Args:
        rows: pixels as an evaluation sees them (n, H, W, C); and, where the recipe changes them, whole images if they
            found room.
        task: whose samples these are.
        recipe: how training goes.
        preprocessing: of the evaluation.
        threads: that augment.
        levels_known: whether its mean and std are what the weights expect; otherwise those of the images replace them.

    Raises:
        DataError: too few images to learn from.
    """
    portions, pixels = Portions.of(task, recipe), rows[0]
    if not levels_known:
        mean, std = pixel_statistics(pixels, portions.learn)
        preprocessing = replace(preprocessing, mean=mean, std=std)
    reduction = Reduction.for_training(preprocessing, recipe.augmentation, resize=not task.from_files)
    made = {"preprocessing": preprocessing.to_json(), "reduction": reduction.to_json()}
    notes: tuple[str, ...] = ()
    if recipe.augmentation == UNCHANGED:
        fit: Batches = InMemory(portions.learnt(pixels[portions.learn]), recipe.batch, recipe.seed)
    else:
        notes = () if len(rows) > 1 else (FROM_FILES,)
        images = whole_images(rows, task, portions.learn, reduction)
        recipe = replace(recipe, augmentation=coloured(recipe.augmentation, images))
        fit = Augmented(
            images, *portions.taught, recipe=recipe, preprocessing=preprocessing, num_classes=task.num_classes,
            threads=threads,
        )  # fmt: skip
    return TrainingData(
        portions.learn, portions.choose, preprocessing, recipe, preprocessing, fit,
        portions.judged(pixels[portions.choose]), portions.fingerprint(made), notes,
    )  # fmt: skip


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

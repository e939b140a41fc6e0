"""What the trained part of a partly frozen network is given: what the frozen part made of each image, once."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ..progress import Track
from ..training.batches import Activations, Batches, CachedViews, Images, InMemory
from ..training.recipe import UNCHANGED, Recipe
from ..transfer.prefix import Prefix
from .task import Task
from .training_data import TrainingData, fingerprint, shares, tensors, weights_of, with_colours
from .views import cached_views


def cached_data(
    rows: Sequence[Any], task: Task, recipe: Recipe, prefix: Prefix, *, threads: int, track: Track
) -> TrainingData:  # fmt: skip
    """Run the frozen part once an image and view; `val`, or the tenth of `train` held out by hash, chooses.

    Args:
        rows: pixels as an evaluation sees them (n, H, W, C); and, where the recipe changes them, whole images if they
            found room.
        task: whose samples these are.
        recipe: how training goes.
        prefix: the frozen part.
        threads: images at once.
        track: shows progress.

    Raises:
        DataError: too few images to learn from.
        UsageError: what is kept is more than the cache may take.
        MachineError: it is more than disk or memory can take, or the disk gave out.
    """
    learn, choose = shares(task)
    recipe = with_colours(recipe, rows[0], learn)
    weights = weights_of(task, learn, recipe)
    channels, height, width = prefix.shape
    contents = [bytes.fromhex(sample.sha256) for sample in task.samples]

    def plain(mask: Any) -> torch.Tensor:
        numbers = np.flatnonzero(mask).tolist()
        seen = [contents[i] for i in numbers]
        return torch.from_numpy(prefix.plain(rows[0][mask], seen, threads=threads, track=track))

    judged = Images(plain(choose), *tensors((task.labels, weights), choose))
    targets, of_loss = tensors((task.targets, weights), learn)
    augmentation, notes = recipe.augmentation, tuple[str, ...]()
    if augmentation == UNCHANGED:
        fit: Batches = InMemory(Images(plain(learn), targets, of_loss), recipe.batch, recipe.seed)
    else:
        views, notes = cached_views(
            rows, task, learn, prefix, augmentation=augmentation, count=min(recipe.views, recipe.epochs),
            threads=threads, track=track,
        )  # fmt: skip
        fit = CachedViews([torch.from_numpy(view) for view in views], targets, of_loss, recipe.batch, recipe.seed)
    changed = None if augmentation == UNCHANGED else augmentation
    made = {"inputs": prefix.keys(changed, min(recipe.views, recipe.epochs))}
    return TrainingData(
        learn, choose, prefix.preprocessing, recipe, Activations((height, width, channels)), fit, judged,
        fingerprint(task, (learn, choose), weights, made), notes,
    )  # fmt: skip

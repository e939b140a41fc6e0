"""What the trained part of a partly frozen network is given: what the frozen part made of each image, once."""

from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import NDArray

from ..progress import Track
from ..training.batches import Activations, Batches, CachedViews, InMemory
from ..training.recipe import UNCHANGED, Recipe
from ..transfer.prefix import Prefix
from .portions import Portions
from .task import Mask, Task
from .training_data import TrainingData, with_colours
from .views import cached_views


def cached_data(
    rows: Sequence[Any], task: Task, recipe: Recipe, prefix: Prefix, *, threads: int, track: Track
) -> TrainingData:  # fmt: skip
    """Run the frozen part once an image and view; `val`, or the tenth of `train` held out by hash, chooses.

    The arguments are those of `training_data`, and the frozen part.

    Raises:
        DataError: too few images to learn from.
        UsageError: what is kept is more than the cache may take.
        MachineError: it is more than disk or memory can take, or the disk gave out.
    """
    portions, pixels = Portions.of(task, recipe), rows[0]
    recipe = with_colours(recipe, pixels, portions.learn)

    def plain(mask: Mask) -> NDArray[Any]:
        return prefix.plain(pixels[mask], portions.contents(mask), threads=threads, track=track)

    judged = portions.judged(plain(portions.choose))
    augmentation, notes, count = recipe.augmentation, tuple[str, ...](), min(recipe.views, recipe.epochs)
    if augmentation == UNCHANGED:
        fit: Batches = InMemory(portions.learnt(plain(portions.learn)), recipe.batch, recipe.seed)
    else:
        views, notes = cached_views(
            rows, task, portions.learn, prefix, augmentation=augmentation, count=count, threads=threads, track=track
        )
        fit = CachedViews([torch.from_numpy(view) for view in views], *portions.taught, recipe.batch, recipe.seed)
    keys = prefix.keys(None if augmentation == UNCHANGED else augmentation, count)
    channels, height, width = prefix.shape
    return TrainingData(
        portions.learn, portions.choose, prefix.preprocessing, recipe, Activations((height, width, channels)), fit,
        judged, portions.fingerprint({"inputs": keys}), notes,
    )  # fmt: skip

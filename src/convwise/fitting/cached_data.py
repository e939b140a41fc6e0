"""What the trained part of a partly frozen network is given: what the frozen part made of each image, once."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from numpy.typing import NDArray

from ..progress import Track
from ..training.batches import Activations, Batches, CachedViews, InMemory
from ..training.recipe import UNCHANGED, Recipe
from ..transfer.prefix import Prefix
from .portions import Portions
from .task import Mask, Task
from .training_data import TrainingData
from .views import Views


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
    choose, learn = portions.choose, portions.learn
    views = None
    if recipe.augmentation != UNCHANGED:
        views = Views.of(
            rows, task, learn, prefix.preprocessing, augmentation=recipe.augmentation,
            count=min(recipe.views, recipe.epochs),
        )  # fmt: skip
        recipe = replace(recipe, augmentation=views.augmentation)
    prefix = _reserved(prefix, portions, views, threads)

    def plain(mask: Mask, which: str) -> NDArray[Any]:
        return prefix.plain(pixels[mask], task.contents(mask), which, threads=threads, track=track)

    judged, notes = portions.judged(plain(choose, "images that choose")), tuple[str, ...]()
    if views is None:
        fit: Batches = InMemory(portions.learnt(plain(learn, "images to learn from")), recipe.batch, recipe.seed)
        keys = prefix.keys(None, 0)
    else:
        seen = [torch.from_numpy(view) for view in views.through(prefix, threads=threads, track=track)]
        fit, notes = CachedViews(seen, *portions.taught, recipe.batch, recipe.seed), views.notes
        keys = prefix.keys(views.augmentation, views.count)
    channels, height, width = prefix.shape
    return TrainingData(
        learn, choose, prefix.preprocessing, recipe, Activations((height, width, channels)), fit, judged,
        portions.fingerprint({"inputs": keys}), notes,
    )  # fmt: skip


def _reserved(prefix: Prefix, portions: Portions, views: Views | None, threads: int) -> Prefix:
    """The frozen part, when there is room for all that is wanted of it."""
    choose = portions.task.contents(portions.choose)
    if views is None:
        return prefix.reserve([*choose, *portions.task.contents(portions.learn)], threads=threads)
    return prefix.reserve(choose, views.contents, views.augmentation, views.count, threads=threads)

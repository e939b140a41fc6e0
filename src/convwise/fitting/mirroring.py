"""Whether a training may mirror its images: not where a mirrored image is told for what it is less often.

A mirrored photo shows the same thing, a mirrored digit, letter or road sign another one or none. Published networks
have learnt from mirrored photos, so their features hardly tell one from its mirror image, and a softmax layer on them
names both alike; where it does not, it is what the images show that the mirror has changed.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..data.roles import folds
from ..data.threads import map_in_order
from ..metrics import Paired, compare
from ..progress import Track
from ..runtime.body import Body
from ..training.recipe import Recipe
from ..transfer.design import Design
from ..transfer.head import DEFAULT_L2, out_of_fold
from .task import Floats, Task

MOST = 1000  # images that are asked, evenly spaced among those of `train`, which stand class by class
LEVEL = 0.05  # of the test: a mirror wrongly given up costs photos little, a wrong mirror costs digits much
FOLDS = 5


def suited(
    recipe: Recipe, body: Body, pixels: NDArray[np.uint8], task: Task, split_seed: int, *, threads: int, track: Track
) -> tuple[Recipe, tuple[str, ...]]:  # fmt: skip
    """Take the mirror out of a recipe where the images to learn from show that it harms.

    Args:
        recipe: that mirrors.
        body: gives features.
        pixels: of all samples, (n, H, W, C), as an evaluation sees them.
        task: whose samples these are.
        split_seed: of the folds.
        threads: images at once.
        track: shows progress.

    Returns:
        The recipe, and what a user should know.
    """
    known = np.flatnonzero(task.train)
    asked = known[np.linspace(0, len(known) - 1, min(MOST, len(known))).round().astype(int)]
    fold_of = np.array(folds([task.samples[i] for i in asked.tolist()], FOLDS, split_seed))
    if len(np.unique(fold_of)) < 2:
        return recipe, ()
    features = _features(body, pixels, asked, threads, track)
    found = compare_mirrored(*features, task.labels[asked], task.num_classes, fold_of)
    if found.difference <= 0 or found.p_value >= LEVEL:
        return recipe, ()
    points = f"{100 * found.difference:.1f} points less often"
    note = (
        f"images are not mirrored in training: of {found.n:,} of `train`, a softmax layer on the published features "
        f"names the mirrored ones right {points} (p = {found.p_value:.1g}); --augment mirrors them all the same"
    )
    return replace(recipe, augmentation=replace(recipe.augmentation, mirror=0.0)), (note,)


def compare_mirrored(
    features: Floats, mirrored: Floats, labels: NDArray[np.int64], num_classes: int, fold_of: NDArray[np.int64]
) -> Paired:
    """Compare what softmax layers, each fitted on the other folds' images as they are, say of images and mirror images.

    Args:
        features: (n, d) of the images as they are.
        mirrored: (n, d) of their mirror images, of which nothing is learnt.
        labels: (n,).
        num_classes: K.
        fold_of: (n,) number of each image's fold; at least two.
    """
    from threadpoolctl import threadpool_limits

    n = len(labels)
    learn = np.arange(2 * n) < n
    with threadpool_limits(1):
        design = Design(np.concatenate([features, mirrored]), learn)
        probs, _ = out_of_fold(
            design, np.tile(labels, 2), num_classes, np.tile(fold_of, 2), DEFAULT_L2, trust=learn.astype(np.float32)
        )
    right = probs.argmax(axis=1) == np.tile(labels, 2)
    return compare(right[:n], right[n:])


def _features(
    body: Body, pixels: NDArray[np.uint8], asked: NDArray[np.int64], threads: int, track: Track
) -> tuple[Floats, Floats]:
    """Of the images as they are and of their mirror images, (n, width) each."""

    def both(i: int) -> list[Floats]:
        image = pixels[i]
        pair = (image, np.ascontiguousarray(image[:, ::-1]))
        return [body.frozen.run(one[None], ["features"])[0].reshape(-1) for one in pair]

    done = map_in_order(both, asked.tolist(), threads)
    rows = list(track(done, len(asked), "images and mirror images compared"))
    return np.stack([row[0] for row in rows]), np.stack([row[1] for row in rows])

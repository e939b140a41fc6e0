"""What a softmax layer is fitted on and chosen by: images as they are, and augmented views of them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


class Examples(NamedTuple):
    """Rows of features: the images as they are, then their views, n in all.

    Attributes:
        rows: (n, d).
        labels: (n,).
        folds: (n,) number of the fold that a row is left out of; negative: of none.
        learn: (n,) which are learnt from.
        judged: (n,) which of those left out are judged; None: all.
    """

    rows: Floats
    labels: Ints
    folds: Ints
    learn: Mask
    judged: Mask | None


def with_views(rows: Floats, labels: Ints, folds: Ints, learn: Mask, views: Sequence[Floats]) -> Examples:
    """Put views of the images that are learnt from behind them; a view is left out with its image, and not judged.

    Args:
        rows: (images, d), of images as they are.
        labels: (images,).
        folds: (images,).
        learn: (images,).
        views: one array (images that are learnt from, d) a view.
    """
    if not views:
        return Examples(rows, labels, folds, learn, None)
    count = len(views)
    return Examples(
        np.concatenate([rows, *views]),
        np.concatenate([labels, np.tile(labels[learn], count)]),
        np.concatenate([folds, np.tile(folds[learn], count)]),
        np.concatenate([learn, np.ones(count * int(learn.sum()), bool)]),
        np.concatenate([folds >= 0, np.zeros(count * int(learn.sum()), bool)]),
    )

"""Whole images of those that are learnt from, of which augmentation shows other parts in each epoch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.augmentation import Augmentation
from ..data.augmentation.batches import Images
from ..data.augmentation.colour import with_own_colours
from ..data.files import FileImages
from ..data.reduction import Reduction
from .task import Mask, Task


@dataclass(frozen=True)
class Chosen:
    """Some of the images; each is looked at when it is its turn, since the first look at a part of the cache checks it.

    Attributes:
        images: by number.
        numbers: of these.
    """

    images: Images
    numbers: Sequence[int]

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, number: int) -> NDArray[np.uint8]:
        """The pixels of one."""
        return self.images[self.numbers[number]]


Whole = Chosen | FileImages


def whole_images(rows: Sequence[Any], task: Task, learn: Mask, reduction: Reduction) -> Whole:
    """Whole images of those to learn from.

    They are the prepared ones, or, where there are none, those of the files: the same pixels if both are reduced alike.
    """
    numbers = np.flatnonzero(learn).tolist()
    if len(rows) > 1:
        return Chosen(rows[1], numbers)
    return FileImages(task.listing, [task.samples[i] for i in numbers], reduction)


def coloured(augmentation: Augmentation, images: Whole) -> Augmentation:
    """Put the images' own principal colours into it, where it asks for them.

    They are those of the images that are learnt from, each as a whole, not of an evaluation's crop of it, and reduced
    as a prepared one; `convwise augment` shows the same.
    """
    if isinstance(images, FileImages):
        images = replace(images, reduction=replace(images.reduction, resize=True))
    return with_own_colours(augmentation, (images[i] for i in range(len(images))))

"""Augmented views of whole images, through a frozen part of a network; without torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.augmentation import Augmentation
from ..data.augmentation.batches import Images
from ..data.augmentation.colour import with_own_colours
from ..data.files import FileImages
from ..data.reduction import Reduction
from ..progress import Track
from ..transfer.prefix import Prefix
from .task import Mask, Task

NO_ROOM = (
    "prepared images found no room, so each view read and decoded the files again; a larger CONVWISE_CACHE_GB, or more "
    "free disk, spares that"
)


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


def whole_images(rows: Sequence[Any], task: Task, learn: Mask, reduction: Reduction) -> Images:
    """Whole images of those to learn from: the prepared ones, or from their files, which are the same pixels."""
    numbers = np.flatnonzero(learn).tolist()
    if len(rows) > 1:
        return Chosen(rows[1], numbers)
    return FileImages(task.listing, [task.samples[i] for i in numbers], reduction)


def cached_views(
    rows: Sequence[Any], task: Task, learn: Mask, prefix: Prefix,
    *, augmentation: Augmentation, count: int, threads: int, track: Track,
) -> tuple[list[NDArray[Any]], tuple[str, ...]]:  # fmt: skip
    """Run the frozen part once an image and view.

    Args:
        rows: of the candidate's jobs; the second ones are whole images, if they found room.
        task: whose samples these are.
        learn: of which samples.
        prefix: the frozen part.
        augmentation: what is drawn.
        count: of the views.
        threads: images at once.
        track: shows progress.

    Returns:
        An array a view, (images, h, w, C), and what a user should know.

    Raises:
        UsageError: what is kept is more than the cache may take.
        MachineError: it is more than disk or memory can take, or the disk gave out.
    """
    images = whole_images(rows, task, learn, Reduction.for_training(prefix.preprocessing, augmentation))
    contents = [bytes.fromhex(task.samples[i].sha256) for i in np.flatnonzero(learn).tolist()]
    prefix.check_room(len(contents), count, threads=threads)
    augmentation = with_own_colours(augmentation, (images[i] for i in range(len(contents))))
    views = [
        prefix.view(images, contents, augmentation, number, threads=threads, track=track) for number in range(count)
    ]
    return views, () if len(rows) > 1 else (NO_ROOM,)

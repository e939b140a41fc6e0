"""Augmented views of whole images, through a frozen part of a network; without torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from numpy.typing import NDArray

from ..data.augmentation import Augmentation
from ..data.preprocessing import Preprocessing
from ..data.reduction import Reduction
from ..progress import Track
from ..transfer.prefix import Prefix
from .task import Mask, Task
from .whole_images import Whole, coloured, whole_images

NO_ROOM = (
    "prepared images found no room, so each view read and decoded the files again; a larger CONVWISE_CACHE_GB, or more "
    "free disk, spares that"
)


@dataclass(frozen=True)
class Views:
    """Augmented views of the images that are learnt from.

    Attributes:
        images: whole ones.
        contents: SHA-256 of each one's file.
        augmentation: what is drawn.
        count: of the views.
        notes: what a user should know.
    """

    images: Whole
    contents: Sequence[bytes]
    augmentation: Augmentation
    count: int
    notes: tuple[str, ...]

    @classmethod
    def of(
        cls, rows: Sequence[Any], task: Task, learn: Mask, preprocessing: Preprocessing,
        *, augmentation: Augmentation, count: int,
    ) -> Self:  # fmt: skip
        """Those that a candidate wants.

        Args:
            rows: of the candidate's jobs; the second ones are whole images, if they found room.
            task: whose samples these are.
            learn: of which samples.
            preprocessing: of the evaluation.
            augmentation: of the recipe.
            count: of the views.
        """
        images = whole_images(rows, task, learn, Reduction.for_training(preprocessing, augmentation))
        notes = () if len(rows) > 1 else (NO_ROOM,)
        return cls(images, task.contents(learn), coloured(augmentation, images), count, notes)

    def through(self, prefix: Prefix, *, threads: int, track: Track) -> list[NDArray[Any]]:
        """Run the frozen part once an image and view: an array a view, (images, h, w, C).

        Raises:
            UsageError: what is kept is more than the cache may take.
            MachineError: it is more than disk or memory can take, or the disk gave out.
        """
        return [
            prefix.view(self.images, self.contents, self.augmentation, number, threads=threads, track=track)
            for number in range(self.count)
        ]

"""Which samples a training learns from, which choose its epoch, and what each weighs."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from ..data import decoding
from ..errors import DataError
from ..runtime.cache import key_of
from ..training.batches import Images
from ..training.recipe import Recipe
from .task import Floats, Mask, Task


@dataclass(frozen=True)
class Portions:
    """The samples of a task, shared out for one training.

    Attributes:
        task: as said.
        learn: which samples are learnt from.
        choose: which choose the epoch.
        weights: of every sample in the loss.
    """

    task: Task
    learn: Mask
    choose: Mask
    weights: Floats

    @classmethod
    def of(cls, task: Task, recipe: Recipe) -> Self:
        """Share them out: `val`, or the tenth of `train` held out by hash, chooses.

        Raises:
            DataError: too few to learn from.
        """
        learn = task.train & ~task.held_out
        if learn.sum() < 2:
            raise DataError("training by epochs needs two images or more to learn from; add images to `train`")
        return cls(task, learn, task.val if task.val.any() else task.held_out, _weights(task, learn, recipe))

    @property
    def taught(self) -> tuple[torch.Tensor, torch.Tensor]:
        """What those to learn from teach, labels (m,) or shares (m, K), and their weights (m,)."""
        return torch.from_numpy(self.task.targets[self.learn]), torch.from_numpy(self.weights[self.learn])

    def learnt(self, pixels: NDArray[Any]) -> Images:
        """Those to learn from, whose pixels these are."""
        return Images(torch.from_numpy(pixels), *self.taught)

    def judged(self, pixels: NDArray[Any]) -> Images:
        """Those that choose, whose pixels these are."""
        parts = (pixels, self.task.labels[self.choose], self.weights[self.choose])
        return Images(*(torch.from_numpy(np.ascontiguousarray(part)) for part in parts))

    def fingerprint(self, made: dict[str, Any]) -> str:
        """Hash of the files of each portion with labels and weights, of what a teacher says of them, and of rules.

        Args:
            made: how their pixels are made, beside decoding.
        """
        task, masks = self.task, (self.learn, self.choose)
        taught = hashlib.sha256(task.taught.shares[self.learn].tobytes()).hexdigest() if task.taught else None
        return key_of(
            {"images": [self._told(mask) for mask in masks], "decoding": decoding.rule(), "taught": taught, **made}
        )

    def _told(self, mask: Mask) -> Sequence[Sequence[Any]]:
        task = self.task
        return [
            [task.samples[i].sha256, int(task.labels[i]), float(self.weights[i])] for i in np.flatnonzero(mask).tolist()
        ]


def _weights(task: Task, learn: Mask, recipe: Recipe) -> Floats:
    """Of every sample: 1, or with `balance` such that all classes weigh alike and the mean is 1."""
    weights = np.ones(len(task.labels), np.float32)
    if recipe.balance:
        counts = np.bincount(task.labels[learn], minlength=task.num_classes)
        weights[learn] = learn.sum() / (np.count_nonzero(counts) * counts[task.labels[learn]])
    return weights

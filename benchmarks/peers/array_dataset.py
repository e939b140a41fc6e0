"""The data set that people write for albumentations and images that lie in memory."""

from collections.abc import Callable

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


class ArrayDataset(torch.utils.data.Dataset[Pixels]):
    """Uint8 (H, W, C) by number, of (n, H, W, C)."""

    def __init__(self, pixels: Pixels, augment: Callable[[Pixels], Pixels]) -> None:
        self.pixels, self.augment = pixels, augment

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, sample: int) -> Pixels:
        """Augment one."""
        cv2.setNumThreads(1)  # as its documentation advises for workers
        return self.augment(self.pixels[sample])

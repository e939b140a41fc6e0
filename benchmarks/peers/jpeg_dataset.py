"""The data set that people write for albumentations: read a JPEG file with OpenCV, augment, give an array."""

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


class JpegDataset(torch.utils.data.Dataset[Pixels]):
    """Uint8 (H, W, 3) by number."""

    def __init__(self, paths: Sequence[Path], augment: Callable[[Pixels], Pixels]) -> None:
        self.paths, self.augment = paths, augment

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, sample: int) -> Pixels:
        """Read and augment one."""
        cv2.setNumThreads(1)  # as its documentation advises for workers
        found = cv2.imread(str(self.paths[sample]), cv2.IMREAD_COLOR_RGB)
        if found is None:  # the stray GIF
            found = np.zeros((300, 300, 3), np.uint8)
        return self.augment(found.astype(np.uint8, copy=False))

"""The augmentation of `Augmentation.usual`, as albumentations and torchvision write it: what both benchmarks compare.

Same operations, order and strengths; each library's own local warp, albumentations' in its quicker, approximate form.
torchvision has no channel shift and no PCA colour: it does without, in its favour. Albumentations by default takes any
crop by linear interpolation, which aliases where it shrinks; `antialias` lets it use area interpolation there.
"""

import os

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # it would look for a newer version on the web

from collections.abc import Callable
from typing import Any

import albumentations as A
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.transforms import v2

Pixels = NDArray[np.uint8]

AREA, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)


def albumentations_crop(side: int, *, antialias: bool) -> Any:
    """Random resized crop and mirror."""
    area = "image" if antialias else None
    crop = A.RandomResizedCrop((side, side), scale=AREA, ratio=RATIO, area_for_downscale=area)
    return A.Compose([crop, A.HorizontalFlip(p=0.5)])


def albumentations_plain_crop(side: int, padding: int = 0) -> Any:
    """Random crop without resizing, and mirror."""
    pad = [A.Pad(padding, border_mode=cv2.BORDER_REFLECT_101)] if padding else []
    return A.Compose([*pad, A.RandomCrop(side, side), A.HorizontalFlip(p=0.5)])


def albumentations_all(side: int) -> Any:
    """Everything, one operation after the other."""
    return A.Compose(
        [
            *albumentations_crop(side, antialias=False).transforms,
            A.Affine(rotate=(-15, 15), shear={"x": (-10, 10), "y": 0}, border_mode=cv2.BORDER_REFLECT_101, p=1),
            A.ElasticTransform(alpha=100, sigma=20, approximate=True, border_mode=cv2.BORDER_REFLECT_101, p=1),
            A.ColorJitter((0.6, 1.4), (0.6, 1.4), (0.6, 1.4), (-0.05, 0.05), p=1),
            A.RGBShift((-20, 20), (-20, 20), (-20, 20), p=1),
            A.FancyPCA(alpha=0.1, p=1),
            A.Erasing(scale=(0.02, 0.33), ratio=(0.3, 3.3), fill=127, p=0.25),
        ]
    )


def torchvision_crop(side: int) -> v2.Transform:
    """Random resized crop, antialiased, and mirror."""
    return v2.Compose([v2.RandomResizedCrop(side, AREA, RATIO, antialias=True), v2.RandomHorizontalFlip()])


def torchvision_plain_crop(side: int) -> v2.Transform:
    """Random crop without resizing, and mirror."""
    return v2.Compose([v2.RandomCrop(side), v2.RandomHorizontalFlip()])


def torchvision_all(side: int) -> v2.Transform:
    """Everything that it has, one operation after the other."""
    return v2.Compose(
        [
            *torchvision_crop(side).transforms,
            v2.RandomAffine(15, shear=10, interpolation=v2.InterpolationMode.BILINEAR),
            v2.ElasticTransform(alpha=100.0),  # at its default sigma of 5: at 20, as above, it takes 400 ms an image
            v2.ColorJitter(0.4, 0.4, 0.4, 0.05),
            v2.RandomErasing(0.25, (0.02, 0.33), (0.3, 3.3), value=127),
        ]
    )


def on_arrays(transform: Any) -> Callable[[Pixels], Pixels]:
    """Let albumentations take and give an array (H, W, 3); what is part of the photo is copied, as a batch must do."""

    def run(pixels: Pixels) -> Pixels:
        return np.ascontiguousarray(transform(image=pixels)["image"])

    return run


def on_tensors(transform: v2.Transform) -> Callable[[torch.Tensor], torch.Tensor]:
    """Let torchvision take and give a tensor (3, H, W) whose memory is (H, W, 3), on which it is quickest; as above."""

    def run(pixels: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = transform(pixels)
        return found.clone() if found._is_view() else found

    return run

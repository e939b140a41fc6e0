"""Augmentation: what each image gets is drawn first, for all images at once, and then applied image by image."""

from .drawing import Draw, Draws, draw
from .record import OPERATIONS, USUAL, Augmentation

__all__ = ["OPERATIONS", "USUAL", "Augmentation", "Draw", "Draws", "draw"]

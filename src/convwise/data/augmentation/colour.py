"""Colour operations as one 3x4 matrix on RGB levels, and the principal colours of a set of images."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ...errors import UsageError
from .record import Augmentation, Colours

Floats = NDArray[np.float32]

LUMA = (0.299, 0.587, 0.114)  # ITU-R 601
PIXELS_AN_IMAGE = 4096  # enough of one image for the covariance of all


def colour_matrices(
    brightness: Floats, contrast: Floats, saturation: Floats, hue: Floats, added: Floats
) -> tuple[Floats, Floats]:
    """Compose the matrices (3, 4, n) and the shares (n,) of an image's own mean luma that contrast adds to each level.

    They act in the order of the arguments. Brightness and contrast multiply all, saturation mixes with luma, and hue
    turns about the grey axis; the latter two leave grey as it is, which is why the mean can be added at the end.

    Args:
        brightness: factors (n,), 1 for none, as of the next two.
        contrast: factors.
        saturation: factors.
        hue: radians (n,).
        added: levels of R, G and B (3, n).
    """
    factor = brightness * contrast
    cosine, third = np.cos(hue), (1 - np.cos(hue)) / np.float32(3)
    sine = np.sin(hue) / np.float32(np.sqrt(3))
    around = (cosine + third, third - sine, third + sine)  # a rotation about (1, 1, 1) is a circulant matrix
    keep, grey = factor * saturation, factor * (1 - saturation)
    matrices = np.empty((3, 4, len(factor)), np.float32)
    for row in range(3):
        for column in range(3):
            matrices[row, column] = keep * around[(column - row) % 3] + grey * np.float32(LUMA[column])
    matrices[:, 3] = added
    return matrices, brightness - factor


def principal_colours(images: Iterable[NDArray[np.uint8]]) -> Colours:
    """Find the colours that AlexNet's PCA augmentation adds, for images of one's own.

    They are the eigenvectors of the covariance of all pixels, RGB in 0..1, each times its eigenvalue times 255; the
    largest first, the sign such that R, G and B sum to 0 or more. Of a large image every k-th pixel counts.

    Args:
        images: uint8 (H, W, 3), in any size.

    Raises:
        UsageError: no image, or a grey one.
    """
    # sums of whole numbers are exact, so neither the order of the images nor the number of threads is in them
    count, total, squares = 0, np.zeros(3, np.int64), np.zeros((3, 3), np.int64)
    for image in images:
        if image.ndim != 3 or image.shape[2] != 3:
            raise UsageError(f"principal colours need RGB images (H, W, 3), got shape {image.shape}")
        levels = image.reshape(-1, 3)
        pixels = levels[:: max(1, len(levels) // PIXELS_AN_IMAGE)].astype(np.int64)
        count += len(pixels)
        total += pixels.sum(axis=0)
        squares += pixels.T @ pixels
    if not count:
        raise UsageError("principal colours need at least one image, got none")
    mean = total / count
    values, vectors = np.linalg.eigh((squares / count - np.outer(mean, mean)) / 255**2)
    colours = []
    for value, vector in zip(values[::-1], vectors.T[::-1], strict=True):
        r, g, b = 255 * max(0.0, float(value)) * vector * (1 if vector.sum() >= 0 else -1)
        colours.append((float(r), float(g), float(b)))
    return tuple(colours)


def with_own_colours(augmentation: Augmentation, images: Iterable[NDArray[np.uint8]]) -> Augmentation:
    """Put the images' principal colours where `pca_colours` is "own"; otherwise no image is looked at.

    Raises:
        UsageError: as `principal_colours`.
    """
    if augmentation.pca_colours != "own":
        return augmentation
    return replace(augmentation, pca_colours=principal_colours(images))

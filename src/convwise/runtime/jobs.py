"""What is wanted of every image, and where it is kept."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data import decoding
from ..data.preprocessing import Preprocessing
from ..data.views import View
from .cache import key_of
from .rows import Rows
from .segments import Array, Segments
from .session import FrozenNetwork


@dataclass(frozen=True)
class Job:
    """What is wanted of every image: rows, kept in the cache, computed from prepared pixels where they are missing.

    Attributes:
        name: for people.
        preprocessing: makes the pixels.
        rows: keeps the rows.
        compute: makes a row of pixels.
        row_bytes: of one row, on average.
        image_bytes: of the pixels of one image, on average.
        growth: bytes of a row for each pixel of a square of the resolution; 0 where they do not follow from it.
    """

    name: str
    preprocessing: decoding.Preparation
    rows: Segments[Any]
    compute: Callable[[NDArray[np.uint8]], Array]
    row_bytes: float
    image_bytes: float
    growth: int


def pixels_job(preprocessing: Preprocessing) -> Job:
    """Want the prepared pixels themselves, uint8 (H, W, C)."""
    key = key_of({"rows": "pixels", "preprocessing": preprocessing.to_json(), "decoding": decoding.rule()})
    name = f"pixels at {preprocessing.resolution} px"
    rows = Rows(key, preprocessing.shape, np.uint8)
    size, growth = rows.row_bytes, preprocessing.channels
    return Job(name, preprocessing, rows, lambda pixels: pixels, row_bytes=size, image_bytes=size, growth=growth)


def features_job(frozen: FrozenNetwork, graph_sha256: str, cut: str, width: int, seen: Preprocessing | View) -> Job:
    """Want what stands at a cut of a frozen network, float32 (width,); `seen` is what it looks at."""
    view = seen if isinstance(seen, View) else View(seen)
    preprocessing = view.preprocessing
    key = key_of(
        {
            "rows": "features",
            "graph": graph_sha256,
            "cut": cut,
            "preprocessing": preprocessing.to_json(),
            "decoding": decoding.rule(),
            "engine": frozen.engine(),
            "view": None if view.plain else view.name,
        }
    )

    def compute(pixels: NDArray[np.uint8]) -> Array:
        return frozen.run(pixels[None], [cut])[0].reshape(width)

    rows, image_bytes = Rows(key, (width,), np.float32), math.prod(preprocessing.shape)
    name = f"features at {preprocessing.resolution} px"
    return Job(name, view, rows, compute, row_bytes=rows.row_bytes, image_bytes=image_bytes, growth=0)

"""What the tests of the one pass share: two preprocessings, the pass over a folder, and what it should give."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convwise.data import decoding
from convwise.data.preprocessing import Preprocessing
from convwise.data.samples import list_folder
from convwise.runtime.gather import Gathered, gather
from convwise.runtime.jobs import pixels_job

SMALL = Preprocessing(resolution=8)
GREY = Preprocessing(channels=1, resolution=12, fit="squash", mean=(0.0,), std=(1.0,))


def go(folder: Path, *preprocessings: Preprocessing, threads: int = 2) -> Gathered:
    return gather(list_folder(folder), [pixels_job(p) for p in preprocessings], threads=threads)


def expected(folder: Path, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    files = [listing.path(s) for listing in [list_folder(folder)] for s in listing.samples]
    return np.stack([decoding.decode(f.read_bytes(), [preprocessing]).pixels[0] for f in files])

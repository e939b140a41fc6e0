"""Augmentation on one core, 224 px: convwise against albumentations and torchvision v2, in one process.

All get the same photos of ants and bees, decoded in memory (for "crop without resizing": their shorter side reduced to
256), and give uint8 images of 224 x 224, each in memory of its own. CPU time of the process, with one thread in every
library; the repetitions of all are interleaved, and each has its median. Peers in peers/augmenters.py. Ours includes
the drawing. The JSON line also has what some of our operations take alone, on the reduced photos, and what drawing
everything takes for 60,000 samples: all of it as arrays, and then a record for each.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

import common
from convwise.data import decoding
from convwise.data.augmentation import OPERATIONS, Augmentation, Draws, draw
from convwise.data.augmentation.applying import apply
from convwise.data.preprocessing import Preprocessing
from convwise.data.reduction import Reduction
from convwise.data.samples import list_folder
from peers import augmenters

CLAIM = "augment"
SIDE, SHORTER = 224, 256
WORDS = {
    "all": "augmentation with everything on",
    "crop": "random resized crop and mirror",
    "plain": "random crop without resizing, and mirror",
}
FLOORS: dict[tuple[str, str], float | None] = {
    ("all", "albumentations"): 8.0,
    ("all", "torchvision"): 40.0,
    ("crop", "albumentations"): 1.3,
    ("crop", "albumentations, antialiased"): 1.3,
    ("crop", "torchvision"): 1.3,
    ("plain", "albumentations"): None,
    ("plain", "torchvision"): None,
}

SAMPLES = 60_000  # that are drawn
COLOURS = ("brightness", "contrast", "saturation", "hue", "channel_shift", "pca")
GEOMETRY = ("area", "rotation", "shear", "mirror", "warp")
ALONE = {
    "nothing": (), "mirror": ("mirror",), "crop": ("area",), "crop and mirror": ("area", "mirror"),
    "rotation": ("rotation",), "shear": ("shear",), "local warp": ("warp",), "colours": COLOURS, "geometry": GEOMETRY,
    "everything": (*GEOMETRY, *COLOURS, "erasing"),
}  # fmt: skip

Pixels = NDArray[np.uint8]
Pass = Callable[[int], object]


class Photos(NamedTuple):
    """The same photos for each library."""

    arrays: list[Pixels]
    tensors: list[torch.Tensor]


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--repetitions", type=int, default=11, metavar="N")
    parser.add_argument("--images", type=int, default=100, metavar="N")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        data = common.unpack("ants_bees", Path(name) / "data", CLAIM)
        whole = read(data, args.images, resize=False)
        reduced = read(data, args.images, resize=True)
    seconds = {what: measure(ways, args.repetitions) for what, ways in all_ways(whole, reduced).items()}
    alone = {what: ours(Augmentation.usual(*names), reduced.arrays) for what, names in ALONE.items()}
    single = {
        "microseconds_alone": {what: 1e6 * value for what, value in measure(alone, args.repetitions).items()},
        "milliseconds_of_drawing": {what: 1e3 * value for what, value in measure(drawing(), args.repetitions).items()},
    }
    report(seconds, single, n=args.images, repetitions=args.repetitions)


def read(data: Path, images: int, *, resize: bool) -> Photos:
    """Decode evenly spread photos, of those that a crop without resizing fits into."""
    listing = list_folder(data)
    files = [listing.path(s) for s in listing.samples if s.path.endswith(".jpg")]
    files = [path for path in files if min(Image.open(path).size) >= SHORTER]
    files = [files[i * len(files) // images] for i in range(images)]
    reduction = Reduction(channels=3, side=SHORTER, resize=resize)
    arrays = [decoding.decode(path.read_bytes(), [reduction]).pixels[0] for path in files]
    return Photos(arrays, [torch.from_numpy(pixels.copy()).permute(2, 0, 1) for pixels in arrays])


def all_ways(whole: Photos, reduced: Photos) -> dict[str, dict[str, Pass]]:
    """What is measured: operations -> library -> one pass over the photos."""
    shift = Augmentation(mirror=0.5, shift=(SHORTER - SIDE) / 2 / SIDE)
    return {
        "all": {
            "convwise": ours(Augmentation.usual(*ALONE["everything"]), whole.arrays),
            "albumentations": peer(augmenters.on_arrays(augmenters.albumentations_all(SIDE)), whole.arrays),
            "torchvision": peer(augmenters.on_tensors(augmenters.torchvision_all(SIDE)), whole.tensors[::5]),
        },
        "crop": {
            "convwise": ours(Augmentation.usual("mirror", "area"), whole.arrays),
            "albumentations": peer(
                augmenters.on_arrays(augmenters.albumentations_crop(SIDE, antialias=False)), whole.arrays
            ),
            "albumentations, antialiased": peer(
                augmenters.on_arrays(augmenters.albumentations_crop(SIDE, antialias=True)), whole.arrays
            ),
            "torchvision": peer(augmenters.on_tensors(augmenters.torchvision_crop(SIDE)), whole.tensors),
        },
        "plain": {
            "convwise": ours(shift, reduced.arrays),
            "albumentations": peer(augmenters.on_arrays(augmenters.albumentations_plain_crop(SIDE)), reduced.arrays),
            "torchvision": peer(augmenters.on_tensors(augmenters.torchvision_plain_crop(SIDE)), reduced.tensors),
        },
    }


def ours(augmentation: Augmentation, photos: list[Pixels]) -> Pass:
    """One pass of convwise: CPU seconds an image."""
    preprocessing = Preprocessing(resolution=SIDE)
    out = np.empty(preprocessing.shape, np.uint8)

    def run(epoch: int) -> float:
        begun = time.process_time()
        for pixels, drawn in zip(photos, draw(augmentation, 0, epoch, range(len(photos))), strict=True):
            apply(pixels, drawn, augmentation, preprocessing, out)
        return (time.process_time() - begun) / len(photos)

    return run


def peer(transform: Callable[[Any], object], photos: Sequence[Any]) -> Pass:
    """One pass of a peer: CPU seconds an image."""

    def run(_: int) -> float:
        begun = time.process_time()
        for pixels in photos:
            transform(pixels)
        return (time.process_time() - begun) / len(photos)

    return run


def drawing() -> dict[str, Pass]:
    """One epoch's draws, everything on: CPU seconds."""
    samples = np.arange(SAMPLES)
    how = Augmentation.usual(*(name for name in OPERATIONS if name not in ("zoom", "shift")))

    def run(work: Callable[[Draws], object], epoch: int) -> float:
        begun = time.process_time()
        work(draw(how, 0, epoch, samples))
        return time.process_time() - begun

    return {"arrays": partial(run, len), "records": partial(run, list)}


def measure(ways: dict[str, Pass], repetitions: int) -> dict[str, float]:
    """Median CPU seconds an image of each library."""
    for run in ways.values():
        run(0)  # the first pass pays for allocations
    seconds: dict[str, list[Any]] = {name: [] for name in ways}
    for repetition in range(1, repetitions + 1):
        for name, run in ways.items():
            seconds[name].append(run(repetition))
    return {name: statistics.median(values) for name, values in seconds.items()}


def report(
    seconds: dict[str, dict[str, float]], single: dict[str, dict[str, float]], *, n: int, repetitions: int
) -> None:
    rows, ratios = [], {}
    for (what, library), floor in FLOORS.items():
        mine, others = seconds[what]["convwise"], seconds[what][library]
        ratios[f"{what}, {library}"] = ratio = others / mine
        rows.append(
            common.Row(
                f"{WORDS[what]}, {SIDE} px, one core", f"{1 / mine:.0f} images/s",
                f"{1 / others:.0f} images/s, {library}", f"{ratio:.2g}x",
                f"{floor:g}x" if floor else "", ratio >= floor if floor else None,
            )
        )  # fmt: skip
    micro = {f"{what}, {name}": 1e6 * value for what, ways in seconds.items() for name, value in ways.items()}
    common.report(
        CLAIM,
        rows,
        ours={"microseconds": {name: value for name, value in micro.items() if name.endswith("convwise")}, **single},
        peer={"microseconds": {name: value for name, value in micro.items() if not name.endswith("convwise")}},
        ratio=ratios,
        n=n,
        repetitions={"all": repetitions},
        threads=1,
    )


if __name__ == "__main__":
    main()

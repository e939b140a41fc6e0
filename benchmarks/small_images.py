"""Batches of 32 px images on 2 cores: convwise's threads against a DataLoader with 2 workers and albumentations.

Crop (padded by 4) and mirror of a fifth of CIFAR-10: ours from prepared images, the peer's from the same pixels in
memory; batches of 128, in a new random order each epoch. Epochs of both are interleaved, the first of each is not
counted, and workers stay alive between epochs. Then what the batches add, at one thread, to a step of training as
Python sees it, 300 small operators of torch: threads share Python's lock with it, processes do not. Then the resident
memory over 20 epochs.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch

import common
from convwise.data.augmentation import Augmentation
from convwise.data.preprocessing import Preprocessing
from loader import Loader, Rate, measure, medians_of, ours, prepared
from peers import augmenters
from peers.array_dataset import ArrayDataset

CLAIM = "small_images"
SIDE, PADDING, BATCH, THREADS = 32, 4, 128, 2
FLOOR = 20_000  # images/s
EPOCHS = 20  # of the look at memory
GROWTH_MB = 20.0  # that count as flat
STEPS, OPERATORS = 80, 300
HOW = Augmentation(mirror=0.5, shift=PADDING / SIDE)


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--repetitions", type=int, default=7, metavar="N")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["CONVWISE_CACHE"] = str(folder / "cache")
        data = common.unpack("cifar10", folder / "small", CLAIM, images=12_000)
        preprocessing = Preprocessing(resolution=SIDE, crop=1.0)
        found, seconds = prepared(data, preprocessing, HOW)
        images, n = found.rows[0], len(found.samples)
        loaders = {
            "convwise": ours(images, n, HOW, preprocessing, batch=BATCH, threads=THREADS),
            "DataLoader": peer(np.stack([images[i] for i in range(n)])),
        }
        medians = medians_of(measure(loaders, args.repetitions))
        growth = memory_growth(loaders["convwise"])
        loaders["convwise"] = ours(images, n, HOW, preprocessing, batch=BATCH, threads=1)
        milliseconds = steps(loaders, args.repetitions)
    report(medians, milliseconds, (growth, seconds), n=n, repetitions=args.repetitions)


def peer(pixels: Any) -> Loader:
    transform = augmenters.on_arrays(augmenters.albumentations_plain_crop(SIDE, PADDING))
    loader: Any = torch.utils.data.DataLoader(
        ArrayDataset(pixels, transform), BATCH, shuffle=True, num_workers=THREADS, persistent_workers=True
    )
    return lambda _: iter(loader)


def memory_growth(epoch: Loader) -> float:
    """How many MB the process grows by from the second epoch to the last of 20."""
    resident = []
    for number in range(EPOCHS):
        for _ in epoch(number):
            pass
        resident.append(psutil.Process().memory_info().rss / 1e6)
    return float(resident[-1] - resident[1])


def steps(loaders: dict[str, Loader], repetitions: int) -> dict[str, float]:
    """Median milliseconds of a step of small operators: alone, and with a batch of each loader before it."""
    found: dict[str, list[float]] = {"alone": [], **{way: [] for way in loaders}}
    for repetition in range(repetitions):
        found["alone"].append(step_milliseconds(iter([None] * STEPS)))
        for way, epoch in loaders.items():
            found[way].append(step_milliseconds(epoch(repetition)))
    return {way: statistics.median(values) for way, values in found.items()}


def step_milliseconds(batches: Iterator[Any]) -> float:
    x, weights = torch.randn(32, 64), torch.randn(64, 64) / 10
    next(batches)  # what starts threads or processes
    begun, done = time.perf_counter(), 0
    for _ in batches:
        for _ in range(OPERATORS // 2):
            x = (x @ weights).relu_()
        done += 1
    return 1000 * (time.perf_counter() - begun) / done


def report(
    medians: dict[str, Rate], milliseconds: dict[str, float], once: tuple[float, float], *, n: int, repetitions: int
) -> None:
    growth, seconds = once
    mine, other = medians["convwise"], medians["DataLoader"]
    ratio = mine.images_per_second / other.images_per_second
    rows = [
        common.Row(
            f"batches at {SIDE} px on {THREADS} cores: crop and mirror", f"{mine.images_per_second:.0f} images/s",
            f"{other.images_per_second:.0f} images/s, {THREADS} workers and albumentations", f"{ratio:.2g}x",
            f"{FLOOR} images/s", mine.images_per_second >= FLOOR,
        ),
        common.Row(
            f"a step of {OPERATORS} small operators ({milliseconds['alone']:.2g} ms alone) and such a batch of {BATCH}",
            f"{milliseconds['convwise']:.2g} ms", f"{milliseconds['DataLoader']:.2g} ms, the same",
            f"{milliseconds['DataLoader'] / milliseconds['convwise']:.2g}x",
        ),
        common.Row(
            f"memory after {EPOCHS} epochs of it, against the second", f"{growth:+.1f} MB",
            floor=f"{GROWTH_MB:g} MB", met=growth <= GROWTH_MB,
        ),
    ]  # fmt: skip
    common.report(
        CLAIM,
        rows,
        ours={
            **mine._asdict(),
            "step_ms": milliseconds["convwise"],
            "growth_mb": growth,
            "prepare_cpu_seconds": seconds,
        },
        peer={**other._asdict(), "step_ms": milliseconds["DataLoader"], "step_alone_ms": milliseconds["alone"]},
        ratio={"images per second": ratio, "CPU": mine.images_per_cpu_second / other.images_per_cpu_second},
        n=n,
        repetitions={"all": repetitions},
        threads=THREADS,
    )


if __name__ == "__main__":
    main()

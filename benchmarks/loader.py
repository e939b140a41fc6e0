"""Batches of augmented images on 2 cores: convwise's threads against a DataLoader with 2 workers and albumentations.

Both give uint8 batches of 224 px photos (ants and bees), in a new random order each epoch, decoding the JPEG files
every time, as `fit` does where prepared images find no room; convwise also from prepared images, whose making is not
counted. Epochs of all are interleaved; the first of each is not counted, and workers stay alive between epochs. CPU
seconds, of workers too, stand beside the wall time in the JSON line.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import torch

import common
from convwise.data.augmentation import OPERATIONS, Augmentation
from convwise.data.augmentation.batches import Epoch, Images, batches
from convwise.data.files import FileImages
from convwise.data.preprocessing import Preprocessing
from convwise.data.reduction import Reduction
from convwise.data.samples import list_folder
from convwise.runtime.gather import Gathered
from convwise.runtime.prepared import prepare_images
from peers import augmenters
from peers.jpeg_dataset import JpegDataset

CLAIM = "loader"
SIDE, BATCH, THREADS = 224, 64, 2
EVERYTHING = Augmentation.usual(*(name for name in OPERATIONS if name not in ("zoom", "shift", "mixup", "cutmix")))
CROP = Augmentation.usual("mirror", "area")
ROWS = (  # what, ours, peer, floor
    ("everything on, from JPEG files", "all, files", "all", 3.0),
    ("random resized crop and mirror, from JPEG files", "crop, files", "crop", 1.0),
    ("random resized crop and mirror, from prepared images", "crop, prepared", "crop", 3.0),
)

Loader = Callable[[int], Iterator[Any]]


class Rate(NamedTuple):
    """Of one epoch; CPU time is that of all processes."""

    images_per_second: float
    images_per_cpu_second: float


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--repetitions", type=int, default=5, metavar="N")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["CONVWISE_CACHE"] = str(folder / "cache")
        photos = common.unpack("ants_bees", folder / "photos", CLAIM)
        rates, n, seconds = photo_rates(photos, args.repetitions)
    report(medians_of(rates), seconds, n=n, repetitions=args.repetitions)


def photo_rates(data: Path, repetitions: int) -> tuple[dict[str, list[Rate]], int, float]:
    """Rates of each way, by repetition; how many photos there are; CPU seconds that preparing them took."""
    preprocessing = Preprocessing(resolution=SIDE)
    found, seconds = prepared(data, preprocessing, CROP)
    listing = list_folder(data)
    paths = [listing.path(sample) for sample in found.samples]
    files = FileImages(listing, found.samples, Reduction.for_training(preprocessing, CROP, resize=False))
    loaders = {
        "all, files": ours(files, len(files), EVERYTHING, preprocessing),
        "crop, files": ours(files, len(files), CROP, preprocessing),
        "all, prepared": ours(found.rows[0], len(files), EVERYTHING, preprocessing),
        "crop, prepared": ours(found.rows[0], len(files), CROP, preprocessing),
        "all": peer(paths, augmenters.albumentations_all(SIDE)),
        "crop": peer(paths, augmenters.albumentations_crop(SIDE, antialias=False)),
    }
    return measure(loaders, repetitions), len(files), seconds


def prepared(data: Path, preprocessing: Preprocessing, augmentation: Augmentation) -> tuple[Gathered, float]:
    """Prepared images, and the CPU seconds that they took."""
    begun = cpu_seconds()
    reduction = Reduction.for_training(preprocessing, augmentation)
    found = prepare_images(list_folder(data), reduction, threads=THREADS)
    return found, cpu_seconds() - begun


def ours(
    images: Images, n: int, augmentation: Augmentation, preprocessing: Preprocessing,
    *, batch: int = BATCH, threads: int = THREADS,
) -> Loader:  # fmt: skip
    sizes = [batch] * (n // batch) + ([n % batch] if n % batch else [])

    def epoch(number: int) -> Iterator[Any]:
        order = Epoch.shuffled(0, number, sizes)
        return (made.pixels for made in batches(images, order, augmentation, preprocessing, threads=threads))

    return epoch


def peer(paths: list[Path], transform: Any) -> Loader:
    loader: Any = torch.utils.data.DataLoader(
        JpegDataset(paths, augmenters.on_arrays(transform)), BATCH, shuffle=True, num_workers=THREADS,
        persistent_workers=True,
    )  # fmt: skip
    return lambda _: iter(loader)


def measure(loaders: dict[str, Loader], repetitions: int) -> dict[str, list[Rate]]:
    """Rates of each loader and repetition, the first epoch left out."""
    rates: dict[str, list[Rate]] = {way: [] for way in loaders}
    for repetition in range(repetitions + 1):
        for way, epoch in loaders.items():
            cpu, wall, n = cpu_seconds(), time.perf_counter(), 0
            for pixels in epoch(repetition):
                n += len(pixels)
            wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
            if repetition:
                rates[way].append(Rate(n / wall, n / cpu))
    return rates


def cpu_seconds() -> float:
    """Of this process and its living children."""
    process = psutil.Process()
    times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    return float(sum(t.user + t.system for t in times))


def medians_of(rates: dict[str, list[Rate]]) -> dict[str, Rate]:
    """Median of each way."""
    return {way: Rate(*map(statistics.median, zip(*found, strict=True))) for way, found in rates.items()}


def report(medians: dict[str, Rate], seconds: float, *, n: int, repetitions: int) -> None:
    rows, ratios = [], {}
    for what, mine, other, floor in ROWS:
        ratio = medians[mine].images_per_second / medians[other].images_per_second
        ratios[mine] = ratio
        ratios[f"{mine}, CPU"] = medians[mine].images_per_cpu_second / medians[other].images_per_cpu_second
        rows.append(
            common.Row(
                f"batches at {SIDE} px on {THREADS} cores: {what}", f"{medians[mine].images_per_second:.0f} images/s",
                f"{medians[other].images_per_second:.0f} images/s, {THREADS} workers and albumentations",
                f"{ratio:.1f}x", f"{floor:g}x", ratio >= floor,
            )
        )  # fmt: skip
    common.report(
        CLAIM,
        rows,
        ours={"prepare_cpu_seconds": seconds, **{way: f._asdict() for way, f in medians.items() if "," in way}},
        peer={way: found._asdict() for way, found in medians.items() if "," not in way},
        ratio=ratios,
        n=n,
        repetitions={"all": repetitions},
        threads=THREADS,
    )


if __name__ == "__main__":
    main()

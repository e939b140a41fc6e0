"""Batches of augmented images on 2 cores: convwise's threads against a DataLoader with 2 workers and albumentations.

Both give uint8 batches of 224 px photos (ants and bees), in a new random order each epoch, decoding the JPEG files
every time; convwise also from prepared images, whose making is not counted. Epochs of all are interleaved; the first
of each is not counted, and workers stay alive between epochs. Then a fifth of CIFAR-10 at 32 px, crop and mirror, and
the resident memory over 20 epochs. CPU seconds, of workers too, stand beside the wall time in the JSON line.
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
SIDE, SMALL, BATCH, THREADS = 224, 32, 64, 2
SMALL_FLOOR = 20_000  # images/s
EPOCHS = 20  # of the look at memory
GROWTH_MB = 20.0  # that count as flat
EVERYTHING = Augmentation.usual(*(name for name in OPERATIONS if name not in ("shift", "mixup", "cutmix")))
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
        small = common.unpack("cifar10", folder / "small", CLAIM, images=12_000)
        rates, n = photo_rates(photos, args.repetitions)
        small_rates, growth = small_rates_and_growth(small, args.repetitions)
    report(rates, small_rates, growth, n=n, repetitions=args.repetitions)


def photo_rates(data: Path, repetitions: int) -> tuple[dict[str, list[Rate]], int]:
    """Rates of each way, by repetition, and how many photos there are."""
    preprocessing = Preprocessing(resolution=SIDE)
    found = prepared(data, preprocessing)
    listing = list_folder(data)
    paths = [listing.path(sample) for sample in found.samples]
    files = FileImages(listing, found.samples, Reduction.for_training(preprocessing, resize=False))
    loaders = {
        "all, files": ours(files, len(files), EVERYTHING, preprocessing),
        "crop, files": ours(files, len(files), CROP, preprocessing),
        "all, prepared": ours(found.rows[0], len(files), EVERYTHING, preprocessing),
        "crop, prepared": ours(found.rows[0], len(files), CROP, preprocessing),
        "all": peer(paths, augmenters.albumentations_all(SIDE)),
        "crop": peer(paths, augmenters.albumentations_crop(SIDE, antialias=False)),
    }
    return measure(loaders, repetitions), len(files)


def prepared(data: Path, preprocessing: Preprocessing) -> Gathered:
    return prepare_images(list_folder(data), Reduction.for_training(preprocessing), threads=THREADS)


def ours(images: Images, n: int, augmentation: Augmentation, preprocessing: Preprocessing) -> Loader:
    sizes = [BATCH] * (n // BATCH) + ([n % BATCH] if n % BATCH else [])

    def epoch(number: int) -> Iterator[Any]:
        order = Epoch.shuffled(0, number, sizes)
        return (batch.pixels for batch in batches(images, order, augmentation, preprocessing, threads=THREADS))

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


def small_rates_and_growth(data: Path, repetitions: int) -> tuple[list[Rate], float]:
    """Rates at 32 px, and how many MB the process grows by from the second epoch to the last of 20."""
    preprocessing = Preprocessing(resolution=SMALL, crop=1.0)
    found = prepared(data, preprocessing)
    loader = ours(found.rows[0], len(found.samples), Augmentation.usual("mirror", "shift"), preprocessing)
    rates = measure({"small": loader}, repetitions)["small"]
    resident = []
    for number in range(EPOCHS):
        for _ in loader(number):
            pass
        resident.append(psutil.Process().memory_info().rss / 1e6)
    return rates, resident[-1] - resident[1]


def report(rates: dict[str, list[Rate]], small: list[Rate], growth: float, *, n: int, repetitions: int) -> None:
    medians = {way: Rate(*map(statistics.median, zip(*found, strict=True))) for way, found in rates.items()}
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
    at_32 = statistics.median(rate.images_per_second for rate in small)
    what = f"batches at {SMALL} px on {THREADS} cores: crop and mirror"
    rows.append(common.Row(what, f"{at_32:.0f} images/s", floor=f"{SMALL_FLOOR} images/s", met=at_32 >= SMALL_FLOOR))
    what = f"memory after {EPOCHS} epochs of it, against the second"
    rows.append(common.Row(what, f"{growth:+.1f} MB", floor=f"{GROWTH_MB:g} MB", met=growth <= GROWTH_MB))
    ours = {way: medians[way]._asdict() for way in rates if "," in way}
    common.report(
        CLAIM,
        rows,
        ours={**ours, "small": {"images_per_second": at_32}, "growth_mb": growth},
        peer={way: medians[way]._asdict() for way in rates if "," not in way},
        ratio=ratios,
        n=n,
        repetitions={"all": repetitions},
        threads=THREADS,
    )


if __name__ == "__main__":
    main()

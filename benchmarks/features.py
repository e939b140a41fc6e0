"""Frozen features of EfficientNet-Lite0 at 224 px: convwise's engine against eager PyTorch, in one process.

Both get the same weights, the same prepared uint8 pixels in memory and the same number of threads. Ours is what `fit`
runs: one image a call, in a pool of threads. The peer is timm's network in batches of 32 under inference_mode; of its
two memory formats, each repetition counts the faster one. The repetitions of all are interleaved. Much of the
peer's time may be the kernel's, for fresh memory that the allocator gives back after every batch; so the JSON line has
the ratio of user time alone too, and MALLOC_TRIM_THRESHOLD_ and MALLOC_MMAP_THRESHOLD_ apply as set outside.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is imported; a value that is set already stays

import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

import common
from convwise import weights
from convwise.data import decoding
from convwise.data.samples import list_folder
from convwise.data.threads import map_in_order, usable_cpus
from convwise.runtime.body import prepare_body
from convwise.runtime.jobs import Job, features_job
from peers.frozen_loop import lite0

CLAIM = "features"
FLOOR = 3.0
BATCH = 32
FORMATS = {"eager": torch.contiguous_format, "eager_channels_last": torch.channels_last}

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


class Rates(NamedTuple):
    """How fast one way was in one repetition; CPU time is user and system time of all threads."""

    images_per_second: float
    images_per_cpu_second: float
    images_per_user_second: float


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--repetitions", type=int, default=3, metavar="N")
    parser.add_argument("--threads", type=int, default=usable_cpus(), metavar="N", help="of both; one a processor")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = common.unpack("ants_bees", folder / "data", CLAIM)
        os.environ["CONVWISE_CACHE"] = str(folder / "cache")
        job = lite0_features()
        listing = list_folder(data)
        files = [listing.path(sample) for sample in listing.samples]
        pixels = np.stack([decoding.decode(path.read_bytes(), [job.preprocessing]).pixels[0] for path in files])
    torch.set_num_threads(args.threads)
    ways = {"convwise": ours(job, args.threads)} | {way: eager(layout) for way, layout in FORMATS.items()}
    report(*measure(ways, pixels, args.repetitions), n=len(pixels), threads=args.threads)


def lite0_features() -> Job:
    """What `fit` asks of every image."""
    published = weights.published("efficientnet_lite0")
    assert published is not None
    body = prepare_body(published, published.preprocessing)
    return features_job(body.frozen, body.graph_sha256, "features", body.width, published.preprocessing)


def ours(job: Job, threads: int) -> Callable[[Pixels], Floats]:
    return lambda pixels: np.stack(list(map_in_order(job.compute, pixels, threads)))


def eager(layout: torch.memory_format) -> Callable[[Pixels], Floats]:
    network: Any = lite0().to(memory_format=layout)

    def compute(pixels: Pixels) -> Floats:
        rows = []
        with torch.inference_mode():
            for start in range(0, len(pixels), BATCH):
                batch = torch.from_numpy(pixels[start : start + BATCH]).permute(0, 3, 1, 2)
                maps = network.forward_features(((batch.float() - 127) / 128).contiguous(memory_format=layout))
                rows.append(network.forward_head(maps, pre_logits=True))
        features: Floats = torch.cat(rows).numpy()
        return features

    return compute


def measure(
    ways: dict[str, Callable[[Pixels], Floats]], pixels: Pixels, repetitions: int
) -> tuple[dict[str, list[Rates]], float]:
    """Rates of each way and repetition, and how far the peer's features are from ours."""
    for compute in ways.values():
        compute(pixels[:BATCH])  # the first batch pays for allocations
    rates: dict[str, list[Rates]] = {way: [] for way in ways}
    found: dict[str, Floats] = {}
    for _ in range(repetitions):
        for way, compute in ways.items():
            begun, wall = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
            found[way] = compute(pixels)
            wall, ended = time.perf_counter() - wall, resource.getrusage(resource.RUSAGE_SELF)
            user, system = ended.ru_utime - begun.ru_utime, ended.ru_stime - begun.ru_stime
            rates[way].append(Rates(*(len(pixels) / seconds for seconds in (wall, user + system, user))))
    return rates, max(float(np.abs(found[way] - found["convwise"]).max()) for way in FORMATS)


def report(rates: dict[str, list[Rates]], difference: float, *, n: int, threads: int) -> None:
    medians: dict[str, dict[str, float]] = {"convwise": {}, "peer": {}}
    for i, field in enumerate(Rates._fields):
        medians["convwise"][field] = statistics.median(rate[i] for rate in rates["convwise"])
        faster = [max(rate[i] for rate in both) for both in zip(*(rates[way] for way in FORMATS), strict=True)]
        medians["peer"][field] = statistics.median(faster)
    mine, peer = medians["convwise"], medians["peer"]
    ratio = {field: mine[field] / peer[field] for field in Rates._fields}
    shown = f"{ratio['images_per_second']:.1f}x; per user CPU second {ratio['images_per_user_second']:.1f}x"
    row = common.Row(
        f"frozen features of Lite0 at 224 px, {threads} threads; they differ by at most {difference:.0e}",
        f"{mine['images_per_second']:.0f} images/s", f"{peer['images_per_second']:.0f} images/s, eager PyTorch",
        shown, f"{FLOOR:.0f}x", ratio["images_per_second"] >= FLOOR,
    )  # fmt: skip
    each = {way: [rate.images_per_second for rate in rates[way]] for way in rates}
    common.report(
        CLAIM,
        [row],
        ours=mine | {"all": each.pop("convwise")},
        peer=peer | {"batch": BATCH, "largest_difference": difference, **each},
        ratio=ratio,
        n=n,
        repetitions={"all": len(rates["convwise"])},
        threads=threads,
    )


if __name__ == "__main__":
    main()

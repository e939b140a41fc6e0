"""Partial training of EfficientNet-Lite0: with what the frozen part makes of each image in memory, against without.

Images a second from the second epoch on, 112 px, batch 32, with the first 10, 12 and 14 of the 16 blocks frozen. Ours
is what `fit --transfer partial` runs then: activations of cached views from memory as float16, the trained part in the
setting that its short trial finds. The peer is the same training without the cache, the same trained part in the same
setting: each image is changed anew and torch runs the frozen part on every batch, in evaluation mode and without
gradients, in channels-last order; of float32, which gives what the cache holds, and bfloat16, which rounds, the faster
one counts, by CPU seconds, and both are shown. Full training is the same loop on the whole network, in the setting of
its own trial. All take turns in one process. What a view costs, once, is in the JSON line.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is imported; a value that is set already stays

import argparse
import functools
import logging
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

import common
import convwise
from common import Row
from convwise import weights
from convwise.data.preprocessing import Preprocessing
from convwise.data.threads import map_in_order, usable_cpus
from convwise.networks.cutting import with_rear
from convwise.runtime.graph import export_graph
from convwise.runtime.session import FrozenNetwork
from convwise.training.batches import Activations, Augmented, Batches, CachedViews, Images, Inputs
from convwise.training.loop import normaliser, train_epoch
from convwise.training.recipe import Recipe
from convwise.training.recipes import tuned
from convwise.training.state import Setting, State
from convwise.training.trial import try_out
from convwise.transfer.tuning import Tuning

CLAIM, NETWORK, CLASSES = "partial", "efficientnet_lite0", 10
BLOCKS = {"stage5.block2": 10, "stage6.block1": 12, "stage6.block3": 14}
FLOORS = {"stage5.block2": 1.3, "stage6.block1": 1.7, "stage6.block3": 2.2}
PRECISIONS = ("float32", "bfloat16")
RECIPE = Recipe(lr=1e-4, warm_up=0.0, schedule="constant")
Epoch = Callable[[], object]


class Rates(NamedTuple):
    """Images a second of one epoch; CPU time is of all threads."""

    images_per_second: float
    images_per_cpu_second: float


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--images", type=int, default=128, metavar="N")
    parser.add_argument("--resolution", type=int, default=112, metavar="PX")
    parser.add_argument("--repetitions", type=int, default=7, metavar="N")
    parser.add_argument("--threads", type=int, default=usable_cpus(), metavar="N")
    args = parser.parse_args()
    logging.getLogger("convwise").setLevel(logging.ERROR)  # that the last layer is fresh
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    pixels = torch.randint(0, 256, (args.images, args.resolution, args.resolution, 3), dtype=torch.uint8)
    images = Images(pixels, torch.randint(0, CLASSES, (args.images,)), torch.ones(args.images))
    ways, views = {"full": full(images, args.threads)}, {}
    for cut in FLOORS:
        ways |= partial(images, cut, args.threads)
        views[cut] = view(images, cut, args.threads)
    report(measure(ways, args), views, args)


def network() -> nn.Module:
    return convwise.network(NETWORK, num_classes=CLASSES, weights=True)


def trained(cut: str | None = None) -> nn.Module:
    """What is trained behind a cut, or everything."""
    return Tuning(cut).trained(network())


def full(images: Images, threads: int) -> Epoch:
    """Training everything."""
    preprocessing, fit = changed(images, threads)
    setting = choose(trained, preprocessing, fit, threads)
    return epoch(trained(), fit, setting, normaliser(preprocessing, setting))


def changed(images: Images, threads: int) -> tuple[Preprocessing, Augmented]:
    """The images as training without a cache sees them, changed anew in every epoch."""
    published = weights.published(NETWORK)
    assert published is not None
    preprocessing = replace(published.preprocessing, resolution=images.pixels.shape[1])
    recipe = replace(RECIPE, augmentation=tuned(NETWORK).augmentation)
    fit = Augmented(
        images.pixels.numpy(), images.labels, images.weights, recipe=recipe, preprocessing=preprocessing,
        num_classes=CLASSES, threads=threads,
    )  # fmt: skip
    return preprocessing, fit


def partial(images: Images, cut: str, threads: int) -> dict[str, Epoch]:
    """Training what lies behind a cut: from cached activations, and behind the frozen part in each precision."""
    preprocessing, fit = changed(images, threads)
    front = with_rear(network(), cut, nn.Identity()).eval().to(memory_format=torch.channels_last)
    pixels = normaliser(preprocessing, Setting(threads))

    def frozen(x: Tensor, precision: str) -> Tensor:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            made: Tensor = front(pixels(x))
        return made.float()

    made = torch.cat([frozen(x, "float32") for x in images.pixels.split(RECIPE.batch)])
    view = made.permute(0, 2, 3, 1).half().contiguous()
    cached = CachedViews([view], images.labels, images.weights, RECIPE.batch, 0)
    height, width, channels = view.shape[1:]
    inputs = Activations((height, width, channels))
    setting = choose(lambda: trained(cut), inputs, cached, threads)
    ways = {f"{cut}, cached": epoch(trained(cut), cached, setting, normaliser(inputs, setting))}
    for precision in PRECISIONS:
        ways[f"{cut}, {precision}"] = epoch(
            trained(cut), fit, setting, functools.partial(frozen, precision=precision)
        )  # fmt: skip
    return ways


def choose(build: Callable[[], nn.Module], inputs: Inputs, fit: Batches, threads: int) -> Setting:
    """What the trial before a training finds."""
    found = try_out(build, RECIPE, inputs, fit, Setting(threads))
    return Setting(found.threads, found.precision, found.channels_last)


def epoch(part: nn.Module, fit: Batches, setting: Setting, normalise: Callable[[Tensor], Tensor]) -> Epoch:
    """One epoch of convwise's loop."""
    state = State.begin(part, RECIPE, setting)

    def train() -> None:
        torch.set_num_threads(setting.threads)
        for _ in train_epoch(state, RECIPE, fit.epoch(0, 0), len(fit.sizes), normalise):
            pass

    return train


def view(images: Images, cut: str, threads: int) -> Rates:
    """Making the activations of all images, which is done once a view."""
    preprocessing, _ = changed(images, threads)
    frozen = FrozenNetwork(export_graph(network(), preprocessing, [cut]).SerializeToString())
    return timed(lambda: list(map_in_order(lambda x: frozen.run(x[None], [cut]), images.pixels.numpy(), threads)),
                 len(images.labels))  # fmt: skip


def measure(ways: dict[str, Epoch], args: argparse.Namespace) -> dict[str, Rates]:
    """Median rates of each way, by turns, after one epoch to warm up."""
    rates: dict[str, list[Rates]] = {name: [] for name in ways}
    for train in ways.values():
        train()
    for _ in range(args.repetitions):
        for name, train in ways.items():
            rates[name].append(timed(train, args.images))
    return {name: Rates(*map(statistics.median, zip(*found, strict=True))) for name, found in rates.items()}


def timed(work: Callable[[], object], images: int) -> Rates:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Rates(images / (time.perf_counter() - wall), images / (time.process_time() - cpu))


def report(found: dict[str, Rates], views: dict[str, Rates], args: argparse.Namespace) -> None:
    full, rows = found["full"], []
    ratio: dict[str, float] = {}
    for cut, floor in FLOORS.items():
        ours = found[f"{cut}, cached"]
        peers = {precision: found[f"{cut}, {precision}"] for precision in PRECISIONS}
        best = max(peers, key=lambda precision: peers[precision].images_per_cpu_second)
        wall, cpu = (a / b for a, b in zip(ours, peers[best], strict=True))
        exact = ours.images_per_second / peers["float32"].images_per_second
        ratio |= {cut: wall, f"{cut}, CPU": cpu, f"{cut}, float32": exact}
        ratio |= {f"{cut}, full": ours[0] / full[0], f"{cut}, full, CPU": ours[1] / full[1]}
        rows.append(
            Row(
                f"training Lite0 at {args.resolution} px behind {BLOCKS[cut]} frozen blocks, second epoch on",
                f"{ours.images_per_second:.0f} images/s, {ours.images_per_second / full.images_per_second:.1f} times "
                "full training",
                f"{peers[best].images_per_second:.0f} images/s without the cache, frozen part in {best}",
                f"{wall:.2f}x; CPU {cpu:.2f}x; in float32 {exact:.2f}x", f"{floor}x", wall >= floor,
            )
        )  # fmt: skip
    common.report(
        CLAIM,
        rows,
        ours={name: found[name]._asdict() for name in found if name.endswith(("cached", "full"))}
        | {f"{cut}, a view": rates._asdict() for cut, rates in views.items()},
        peer={name: found[name]._asdict() for name in found if name.endswith(PRECISIONS)},
        ratio=ratio,
        n=args.images,
        repetitions=dict.fromkeys(found, args.repetitions),
        threads=args.threads,
    )


if __name__ == "__main__":
    main()

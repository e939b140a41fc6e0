"""One training step from pixels: convwise's loop against the step that people write today, on torchvision's networks.

Peer: torchvision's own network as it is made, float32, `zero_grad, forward, cross_entropy, backward, step` with SGD of
momentum 0.9. Ours: our network of the same paper with the recipe's "auto", so the short trial chooses precision and
order of memory, through `train_epoch`; what it does more (uint8 to float, weights of the images, the rate) is in its
time. Both get the same batch at 224 px in the same process, by turns. Width 1 of MobileNetV2, and projections (option
B) in ResNet-18, on both sides.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torchvision
from torch.nn import functional as F

import common
from common import Row
from convwise import networks
from convwise.data.preprocessing import Preprocessing
from convwise.data.threads import usable_cpus
from convwise.training.batches import Images, InMemory
from convwise.training.loop import normaliser, train_epoch
from convwise.training.recipe import Recipe
from convwise.training.state import Setting, State
from convwise.training.trial import try_out

CLAIM = "train_step"
FLOORS = {"resnet18": 2.0, "mobilenet_v2": 1.7}
PREPROCESSING = Preprocessing()
Step = Callable[[], object]


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--batch", type=int, default=32, metavar="N")
    parser.add_argument("--resolution", type=int, default=224, metavar="PX")
    parser.add_argument("--repetitions", type=int, default=7, metavar="N")
    parser.add_argument("--threads", type=int, default=usable_cpus(), metavar="N")
    parser.add_argument("--network", choices=sorted(FLOORS), action="append")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    side = args.resolution
    images = Images(
        torch.randint(0, 256, (args.batch, side, side, 3), dtype=torch.uint8),
        torch.randint(0, 1000, (args.batch,)),
        torch.ones(args.batch),
    )
    rows, ours, peers, ratios, chosen = [], {}, {}, {}, {}
    for name in args.network or FLOORS:
        setting, speeds = choose(name, images, args.threads)
        steps = {"ours": our_step(name, images, setting), "peer": peer_step(name, images)}
        found = measure(steps, args.repetitions)
        (ours[name], our_cpu), (peers[name], peer_cpu) = found["ours"], found["peer"]
        ratios[name] = peers[name] / ours[name]
        chosen[name] = {**setting._asdict(), "tried_images_per_second": speeds}
        rows.append(
            Row(
                f"a training step of {name}, {args.batch} images at {side} px, in {setting.precision}",
                f"{ours[name]:.2f} s, {our_cpu:.2f} CPU s", f"{peers[name]:.2f} s, {peer_cpu:.2f} CPU s",
                f"{ratios[name]:.2f}x; CPU {peer_cpu / our_cpu:.2f}x", f"{FLOORS[name]}x", ratios[name] >= FLOORS[name],
            )
        )  # fmt: skip
        ratios[f"{name}_cpu"] = peer_cpu / our_cpu
    common.report(
        CLAIM, rows, ours={"seconds": ours, "setting": chosen}, peer={"seconds": peers}, ratio=ratios, n=args.batch,
        repetitions=dict.fromkeys(ours, args.repetitions), threads=args.threads,
    )  # fmt: skip


def choose(name: str, images: Images, threads: int) -> tuple[Setting, dict[str, float]]:
    """What the trial before a training finds."""
    recipe, usual = Recipe(batch=len(images.labels)), Setting(threads)
    found = try_out(lambda: networks.create(name), recipe, PREPROCESSING, InMemory(images, recipe.batch, 0), usual)
    return Setting(found.threads, found.precision, found.channels_last), found.images_per_second


def our_step(name: str, images: Images, setting: Setting) -> Step:
    recipe = Recipe(batch=len(images.labels), lr=0.01, nesterov=False, warm_up=0.0, schedule="constant")
    state = State.begin(networks.create(name), recipe, setting)
    normalise, source = normaliser(PREPROCESSING, setting), InMemory(images, recipe.batch, 0)
    return lambda: list(train_epoch(state, recipe, source.epoch(0, 0), 1, normalise))


def peer_step(name: str, images: Images) -> Step:
    network = getattr(torchvision.models, name)()
    optimizer = torch.optim.SGD(network.parameters(), 0.01, 0.9, weight_decay=5e-4)
    x = ((images.pixels.float() - 127) / 128).permute(0, 3, 1, 2).contiguous()

    def step() -> float:
        optimizer.zero_grad()
        loss = F.cross_entropy(network(x), images.labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def measure(steps: dict[str, Step], repetitions: int) -> dict[str, tuple[float, float]]:
    """Median wall and CPU seconds of each, by turns, after one step to warm up."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
    for step in steps.values():
        step()
    for _ in range(repetitions):
        for name, step in steps.items():
            with timed(taken[name]):
                step()
    return {
        name: (statistics.median(w for w, _ in times), statistics.median(c for _, c in times))
        for name, times in taken.items()
    }


@contextmanager
def timed(into: list[tuple[float, float]]) -> Iterator[None]:
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    into.append((time.perf_counter() - wall, time.process_time() - cpu))


if __name__ == "__main__":
    main()

"""The ladder on CIFAR-10: softmax layer alone, half of the network, all of it, from the same published weights.

Each row is `convwise fit FOLDER --transfer RUNG --resolution 96` with EfficientNet-Lite0, from an empty cache, start-up
and the measurement included: 2,000 training images, 200 a class, evenly spaced in the 50,000, seeds 0 to 2, and the
10,000 of `test`, which have chosen nothing, the recipe included. `--images 20000` has ten times as many; with one
seed and the first two rungs that takes an hour. The interval is that of the first seed. A rung is promised so many
points of top-1 over the softmax layer, means of the seeds.
"""

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

import common
from common import CONVWISE, Cost, Row, child_environment

CLAIM = "ladder"
RUNGS = {"head": "softmax layer alone", "partial": "behind the frozen stages", "full": "everything"}
FLOORS = {2000: 4.0, 20000: 6.0}  # points of top-1 that "partial" gains over "head"


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--images", type=int, choices=sorted(FLOORS), default=2000)
    parser.add_argument("--seeds", type=int, default=3, metavar="N")
    parser.add_argument("--rung", choices=list(RUNGS), action="append", help="all by default")
    parser.add_argument("--test-images", type=int, default=10_000, metavar="N", help="evenly spaced; all by default")
    args = parser.parse_args()
    rungs = args.rung or list(RUNGS)
    with tempfile.TemporaryDirectory() as name:
        data = common.unpack("cifar10", Path(name, "all"), CLAIM)
        thin(data / "train", args.images)
        thin(data / "test", args.test_images)
        # the softmax layer is the minimum of a convex loss: any seed finds the same one
        found = {rung: [fit(data, rung, seed) for seed in range(1 if rung == "head" else args.seeds)] for rung in rungs}
    report(found, args)


def thin(split: Path, n: int) -> None:
    """Leave n images in a split, as many of each class, evenly spaced by name."""
    classes = [folder for folder in sorted(split.iterdir()) if folder.is_dir()]
    for folder in classes:
        files, wanted = sorted(folder.iterdir()), n // len(classes)
        kept = {files[i * len(files) // wanted] for i in range(wanted)}
        for file in files:
            if file not in kept:
                file.unlink()


def fit(data: Path, rung: str, seed: int) -> Cost:
    """Train from an empty cache."""
    with tempfile.TemporaryDirectory() as folder:
        command: list[str | Path] = [
            *CONVWISE, "fit", data, "--transfer", rung, "--resolution", "96", "--seed", str(seed),
        ]  # fmt: skip
        return common.run(
            [*command, "--out", Path(folder, "run"), "--json", "--quiet"],
            child_environment(CONVWISE_CACHE=Path(folder, "cache")),
        )


def report(found: dict[str, list[Cost]], args: argparse.Namespace) -> None:
    mean = {rung: 100 * statistics.fmean(cost.result["top1"] for cost in costs) for rung, costs in found.items()}
    rows = [row(rung, costs, mean, args) for rung, costs in found.items()]
    ours: dict[str, Any] = {
        rung: [
            {name: cost.result[name] for name in ("top1", "top1_low", "top1_high")}
            | {"seconds": cost.wall_seconds, "cpu_seconds": cost.cpu_seconds}
            for cost in costs
        ]
        for rung, costs in found.items()
    }
    claim = CLAIM if args.images == min(FLOORS) else f"{CLAIM}_{args.images}"
    common.report(
        claim, rows, ours=ours, peer=None, ratio={}, n=args.images,
        repetitions={rung: len(costs) for rung, costs in found.items()},
    )  # fmt: skip


def row(rung: str, costs: list[Cost], mean: dict[str, float], args: argparse.Namespace) -> Row:
    first = costs[0].result
    seeds = f", mean of {len(costs)} seeds" if len(costs) > 1 else ""
    measured = (
        f"{mean[rung]:.1f} %{seeds} (seed 0: {100 * first['top1_low']:.1f} to {100 * first['top1_high']:.1f}), "
        f"{common.median(costs, 'wall_seconds'):.0f} s, {common.median(costs, 'cpu_seconds'):.0f} CPU s"
    )
    what = f"CIFAR-10 from {args.images:,} images at 96 px, Lite0, {RUNGS[rung]}: top-1"
    if rung == "head" or "head" not in mean:
        return Row(what, measured)
    gain = mean[rung] - mean["head"]
    if rung == "full":
        return Row(what, measured, "", f"{gain:+.1f} points")
    floor = FLOORS[args.images]
    return Row(what, measured, "", f"{gain:+.1f} points", f"+{floor:g} points over the softmax layer", gain >= floor)


if __name__ == "__main__":
    main()

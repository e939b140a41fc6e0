"""LeNet-5 from scratch on Fashion-MNIST: how good in how many minutes, as it is taught today and as it was in 1998.

Each row is one command, `convwise fit FOLDER --network NAME --recipe FILE`, from an empty cache, start-up, unpacking
and the measurement of the 10,000 test images included. A tenth of the 60,000 training images is held out by hash and
chooses the epoch. The recipes were chosen on held-out images; the test images have chosen nothing. There is no peer:
the floors are the project's own.
"""

import tempfile
from pathlib import Path
from typing import NamedTuple

import common
from common import CONVWISE, Row

CLAIM = "fashion_mnist"
FOLDER = Path("/usr/share/datasets/fashion-mnist")  # of Debian's package dataset-fashion-mnist
MOVED = """batch = 64
lr = 0.04
epochs = 60
weight_decay = 5e-5
ema = 0.999

[augmentation]
mirror = 0.5
shift = 0.0357
border = "black"
"""


class Case(NamedTuple):
    """A training, and what is promised of it: top-1 of at least so much, within so many minutes."""

    network: str
    recipe: str
    seeds: int
    top1: float | None = None
    minutes: float | None = None


PLAIN = "batch = 64\nlr = 0.04\nepochs = 18\n"
CASES = {
    "LeNet-5": Case("lenet5", PLAIN, 2, 0.905, 3),
    "LeNet-5, mirrored and shifted": Case("lenet5", MOVED, 1, 0.92, 10),
    "LeNet-5 of 1998": Case("lenet5_1998", "batch = 64\nlr = 0.005\nepochs = 18\n", 1),
}


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--data", type=Path, default=FOLDER, metavar="DIR", help="of four IDX files")
    parser.add_argument("--threads", type=int, default=2, metavar="N")
    args = parser.parse_args()
    if not args.data.is_dir():
        common.skip(CLAIM, f"there is no {args.data}; apt-get install dataset-fashion-mnist, or give --data")
    rows, ours = [], {}
    for name, case in CASES.items():
        for seed in range(case.seeds):
            found = fit(case, args.data, seed, args.threads)
            rows.append(row(f"Fashion-MNIST, {name}, seed {seed}", case, found))
            ours[f"{name}, seed {seed}"] = found
    common.report(
        CLAIM, rows, ours=ours, peer=None, ratio={}, n=10_000, repetitions=dict.fromkeys(ours, 1), threads=args.threads
    )


def fit(case: Case, data: Path, seed: int, threads: int) -> dict[str, float]:
    """Train from scratch, from an empty cache; what it cost, and how good it is."""
    with tempfile.TemporaryDirectory() as folder:
        recipe = Path(folder, "recipe.toml")
        recipe.write_text(case.recipe)
        cost = common.run(
            [*CONVWISE, "fit", data, "--network", case.network, "--transfer", "none", "--recipe", recipe,
             "--seed", str(seed), "--threads", str(threads), "--out", Path(folder, "run"), "--json", "--quiet"],
            common.child_environment(CONVWISE_CACHE=Path(folder, "cache")),
        )  # fmt: skip
    top1 = {name: cost.result[name] for name in ("top1", "top1_low", "top1_high")}
    return top1 | {"minutes": cost.wall_seconds / 60, "cpu_minutes": cost.cpu_seconds / 60}


def row(what: str, case: Case, found: dict[str, float]) -> Row:
    low, high = 100 * found["top1_low"], 100 * found["top1_high"]
    measured = f"{100 * found['top1']:.2f} % ({low:.2f} to {high:.2f}) in {found['minutes']:.1f} min"
    if case.top1 is None or case.minutes is None:
        return Row(f"{what}: top-1", measured)
    met = found["top1"] >= case.top1 and found["minutes"] <= case.minutes
    return Row(f"{what}: top-1", measured, "", "", f"{100 * case.top1:g} % in {case.minutes:g} min", met)


if __name__ == "__main__":
    main()

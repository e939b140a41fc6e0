"""Five seeds of LeNet-5 together, and one LeNet-5 that learns what they say: what each gains on Fashion-MNIST.

The first 12,000 training images, since with few images a teacher has something to tell; all 10,000 test images. The
commands are `convwise fit FOLDER --network lenet5 --recipe FILE --members 5`, then `--teacher RUN --seed N` for three
seeds that are none of the teacher's. Batch, rate and epochs are those of fashion_mnist.py; what a teacher weighs in the
loss was chosen on training images 50,000 to 60,000. There is no peer. All is trained on one thread.
"""

import gzip
import statistics
import tempfile
from pathlib import Path
from typing import Any

import common
from common import CONVWISE, Row
from fashion_mnist import FOLDER, PLAIN

CLAIM = "ensembles"
IMAGES, MEMBERS, SEEDS = 12_000, 5, (10, 11, 12)
SIDE = 28


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--data", type=Path, default=FOLDER, metavar="DIR", help="of four IDX files, packed")
    args = parser.parse_args()
    if not (args.data / "train-images-idx3-ubyte.gz").is_file():
        common.skip(CLAIM, f"there is no {args.data}; apt-get install dataset-fashion-mnist, or give --data")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        some_of(args.data, folder / "data")
        (folder / "recipe.toml").write_text(PLAIN)
        teacher = fit(folder, "teacher", "--members", str(MEMBERS))
        students = [fit(folder, f"student{n}", "--teacher", str(folder / "teacher"), "--seed", str(n)) for n in SEEDS]
    alone = [row["top1"] for row in teacher["members"][:MEMBERS]]
    every, learnt = teacher["members"][-1], [student["top1"] for student in students]
    gain = statistics.mean(learnt) - statistics.mean(alone)
    what = f"Fashion-MNIST, {IMAGES:,} images, LeNet-5"
    rows = [
        Row(f"{what}: top-1, {MEMBERS} seeds alone", told(alone)),
        Row(f"{what}: these {MEMBERS} averaged, x {every['times_macs']:g} MACs", told([every["top1"]])),
        Row(f"{what}: one that learns what these say, {len(SEEDS)} seeds", told(learnt), "", "",
            "better than alone", gain > 0),
    ]  # fmt: skip
    ours = {"alone": alone, "averaged": every["top1"], "student": learnt, "gain": gain}
    repetitions = {"alone": MEMBERS, "averaged": 1, "student": len(SEEDS)}
    common.report(CLAIM, rows, ours=ours, peer=None, ratio={}, n=10_000, repetitions=repetitions, threads=1)


def some_of(data: Path, folder: Path) -> None:
    """Write the first training images and all test images, unpacked."""
    folder.mkdir()
    for path in data.glob("*-ubyte.gz"):
        blob = gzip.decompress(path.read_bytes())
        if path.name.startswith("train"):
            head, size = (16, SIDE * SIDE) if "images" in path.name else (8, 1)
            blob = blob[:4] + IMAGES.to_bytes(4) + blob[8 : head + IMAGES * size]
        (folder / path.stem).write_bytes(blob)


def fit(folder: Path, out: str, *options: str) -> dict[str, Any]:
    """Train, and what came of it."""
    cost = common.run(
        [*CONVWISE, "fit", folder / "data", "--network", "lenet5", "--recipe", folder / "recipe.toml", "--threads", "1",
         "--out", folder / out, "--json", "--quiet", *options],
        common.child_environment(CONVWISE_CACHE=folder / "cache"),
    )  # fmt: skip
    return cost.result


def told(shares: list[float]) -> str:
    """A mean with its extremes, or one share."""
    mean = f"{100 * statistics.mean(shares):.1f} %"
    return mean if len(shares) == 1 else f"{mean} ({100 * min(shares):.1f} to {100 * max(shares):.1f})"


if __name__ == "__main__":
    main()

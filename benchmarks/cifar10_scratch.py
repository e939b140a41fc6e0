"""ResNet-20 from scratch on CIFAR-10, without a GPU: how good in how many minutes.

One command, `convwise fit FOLDER --network resnet20 --transfer none --recipe FILE`, from an empty cache, start-up and
the measurement of the 10,000 test images included. A tenth of the 50,000 training images is held out by hash and
chooses the epoch. The recipe is the paper's augmentation with fewer epochs and a rate that falls in a line, not tuned.
There is no peer and no floor: the paper's 8.75 % take 182 epochs.
"""

import tempfile
from pathlib import Path

import common
from fashion_mnist import Case, fit, row

CLAIM = "cifar10_scratch"
CASE = Case(
    "resnet20",
    """batch = 128
lr = 0.2
epochs = 15
warm_up = 0.2

[augmentation]
mirror = 0.5
shift = 0.125
border = "black"
""",
    1,
)


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--threads", type=int, default=2, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = fit(CASE, common.unpack("cifar10", Path(folder), CLAIM), args.seed, args.threads)
    rows = [row(f"CIFAR-10, ResNet-20 from scratch, 15 epochs, seed {args.seed}", CASE, found)]
    common.report(CLAIM, rows, ours=found, peer=None, ratio={}, n=10_000, repetitions={"fit": 1}, threads=args.threads)


if __name__ == "__main__":
    main()

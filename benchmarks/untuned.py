"""Everything on a folder that nothing was tuned on: ladder, views, ensemble, teacher, calibration, near-duplicates.

The folder is made of training images of CIFAR-10 on which the ladder's recipe was not chosen: 1,200 of eight classes,
40 to 280 a class, saved again at odd sizes and shapes (24 to 320 px a side) as JPEG, PNG (grey, palette, alpha), WebP
and BMP under odd class names; ten of them a second time, smaller, and five files that are no images. It is flat, so
`fit` measures a fifth of it, chosen by hash. It is the second one: what the first one measured, of other images and in
part of other classes, was looked at when the rule that chooses the epoch was made. All is trained at 96 px, seed 0 (the
student 10), from an empty cache. There is no peer. `--keep DIR` leaves folder and runs to look at.
"""

import argparse
import csv
import json
import tempfile
from collections.abc import Collection, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

import common
from common import CONVWISE, Row, child_environment

CLAIM = "untuned"
CLASSES = {  # in CIFAR-10: name here, images
    "ship": ("Schiff (groß)", 280),
    "dog": ("pes & co.", 240),
    "truck": ("грузовик", 200),
    "frog": ("\N{FROG FACE}", 160),
    "horse": ("horse.v2", 120),
    "cat": ("-cat", 100),
    "bird": ("it's a bird", 60),
    "deer": ("10 t", 40),
}
FIRST = {  # of the first such folder
    "airplane": 280, "automobile": 240, "bird": 200, "cat": 160, "deer": 120, "frog": 100, "horse": 60, "truck": 40,
}  # fmt: skip
KINDS = ("jpg", "jpg", "jpg", "grey.png", "palette.png", "alpha.png", "webp", "bmp")
COPIES, MEMBERS, RESOLUTION = 10, 3, 96
NO_IMAGES = {
    "zero.jpg": b"",
    "text.png": b"no image",
    "cut.jpg": b"\xff\xd8\xff\xe0",
    "no.webp": b"RIFF",
    "no.bmp": b"BM",
}


class Made(NamedTuple):
    """The folder, and the pairs of paths in it that show the same."""

    folder: Path
    pairs: frozenset[frozenset[str]]


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--threads", type=int, default=2, metavar="N")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave the folder and the runs there")
    args = parser.parse_args()
    if args.keep and args.keep.exists():
        parser.error(f"--keep must name a new folder, got {args.keep}")
    with tempfile.TemporaryDirectory() as name:
        root = args.keep or Path(name)
        made = make(common.unpack("cifar10", Path(name, "all"), CLAIM) / "train", root / "odd folder")
        run = Runner(root, args.threads)
        head = run("fit", made.folder, "--transfer", "head", "--out", root / "head")
        auto = run("fit", made.folder, "--transfer", "auto", "--out", root / "auto")
        partial = (made.folder, "--transfer", "partial")
        members = run("fit", *partial, "--members", MEMBERS, "--out", root / "members")
        student = run("fit", *partial, "--teacher", root / "members", "--seed", 10,
                      "--out", root / "student")  # fmt: skip
        views = run("evaluate", root / "auto", made.folder, "--views", 10, "--with", root / "head")
        pairs = pairs_found(root / "auto" / "near_duplicates.csv", made)
        calibration = json.loads((root / "auto" / "metrics.json").read_text())["calibration"]
    fits = {"head": head, "auto": auto, "members": members, "student": student}
    report(fits, views, pairs, calibration, args)


class Runner:
    """Runs commands of convwise that share a cache."""

    def __init__(self, root: Path, threads: int) -> None:
        self.environment, self.threads = child_environment(CONVWISE_CACHE=root / "cache"), threads

    def __call__(self, command: str, *words: object) -> dict[str, Any]:
        """The result that it prints."""
        given = [*CONVWISE, command, *map(str, words), "--threads", str(self.threads), "--json", "--quiet"]
        if command == "fit":
            given += ["--resolution", str(RESOLUTION)]
        return common.run(given, self.environment).result


class Drawn(NamedTuple):
    """An image of CIFAR-10 for the folder: its class and number there, the kind of its file, width and height."""

    known: str
    number: int
    kind: str
    sides: list[int]


def make(images: Path, folder: Path) -> Made:
    """Write the folder."""
    files = {known: sorted((images / known).iterdir()) for known in {*CLASSES, *FIRST}}
    taken = {(one.known, one.number) for one in draw(np.random.default_rng(0), FIRST, files)}
    random, written = np.random.default_rng(1), list[Path]()
    for name, _ in CLASSES.values():
        (folder / name).mkdir(parents=True)
    for one in draw(random, {known: count for known, (_, count) in CLASSES.items()}, files, taken):
        path = folder / CLASSES[one.known][0] / f"{one.number}.{one.kind}"
        save(Image.open(files[one.known][one.number]), one.sides, path)
        written.append(path)
    pairs = frozenset(copies(written, random, folder))
    for name, content in NO_IMAGES.items():
        (folder / "10 t" / name).write_bytes(content)
    return Made(folder, pairs)


def draw(
    random: np.random.Generator, counts: dict[str, int], files: dict[str, list[Path]],
    taken: Collection[tuple[str, int]] = (),
) -> Iterator[Drawn]:  # fmt: skip
    """So many images of each class, none of which a recipe was chosen on or is taken."""
    for known, count in counts.items():
        n = len(files[known])
        free = [i for i in range(n) if i not in chosen_on(n) and (known, i) not in taken]
        for number in random.permutation(free)[:count].tolist():
            kind = KINDS[random.integers(len(KINDS))]
            yield Drawn(known, number, kind, random.integers(24, 321, 2).tolist())


@cache
def chosen_on(n: int) -> frozenset[int]:
    """Which of the n images of a class the recipe was chosen on: two draws of 200 to learn from and 200 to judge by."""
    draws = [np.random.default_rng(seed).permutation(n) for seed in (1000, 1001)]
    return frozenset(int(i) for draw in draws for i in (*draw[:200], *draw[-200:]))


def save(image: Image.Image, sides: list[int], path: Path) -> None:
    """At another size and shape, at most twice as wide as high or the other way round, in the format of the name."""
    width = min(max(sides[0], sides[1] // 2), 2 * sides[1])
    image = image.resize((width, sides[1]), Image.Resampling.BICUBIC)
    kind = path.name.split(".")[1]
    if kind == "grey":
        image = image.convert("L")
    elif kind == "palette":
        image = image.convert("P", palette=Image.Palette.ADAPTIVE)
    elif kind == "alpha":
        image.putalpha(255)
    image.save(path)


def copies(written: list[Path], random: np.random.Generator, folder: Path) -> Iterator[frozenset[str]]:
    """Save a few of the larger images again, at three quarters of the size."""
    large = [path for path in written if path.suffix == ".jpg" and min(Image.open(path).size) >= RESOLUTION]
    for path in random.choice(np.array(large, object), COPIES, replace=False):
        image = Image.open(path)
        copy = path.with_name(f"again-{path.name}")
        image.resize((image.width * 3 // 4, image.height * 3 // 4), Image.Resampling.BICUBIC).save(copy)
        yield frozenset(str(one.relative_to(folder)) for one in (path, copy))


def pairs_found(file: Path, made: Made) -> int:
    """How many of the pairs a run lists; a name that a spreadsheet would take for a formula has a ' in front there."""
    with file.open(encoding="utf-8") as lines:
        listed = {
            frozenset(row[side].removeprefix("'") for side in ("path", "path_other")) for row in csv.DictReader(lines)
        }
    return len(made.pairs & listed)


def report(
    found: dict[str, Any], views: dict[str, Any], pairs: int, calibration: dict[str, Any], args: argparse.Namespace
) -> None:  # fmt: skip
    head, auto, members, student = found.values()
    rung = next(row["transfer"] for row in auto["ladder"] if row["chosen"])
    ten = next(row for row in views["rows"] if row["kind"] == "views")
    alone, every = members["members"][0], members["members"][-1]
    before, after = (100 * calibration[name] for name in ("ece_before", "ece"))
    what = f"a folder that nothing was tuned on, {auto['n']} images measured"
    rows = [
        Row(f"{what}: softmax layer alone", told(head)),
        Row(f"{what}: `--transfer auto`, which kept {rung}", told(auto), "", gain(auto["top1"] - head["top1"])),
        Row(f"{what}: ten views of it, x {ten['times_macs']:g} MACs", told(ten), "", gain(ten["change"])),
        Row(f"{what}: {MEMBERS} seeds of partial averaged, x {every['times_macs']:g} MACs", told(every), "",
            gain(every["top1"] - alone["top1"])),
        Row(f"{what}: one that learns what these say", told(student), "", gain(student["top1"] - alone["top1"])),
        Row(f"{what}: calibration error of `--transfer auto` before and after its temperature",
            f"{before:.1f} %, {after:.1f} %"),
        Row(f"{what}: pairs of an image and its smaller copy that it lists", f"{pairs} of {COPIES}"),
    ]  # fmt: skip
    ours = {name: {key: result[key] for key in ("top1", "top1_low", "top1_high")} for name, result in found.items()}
    common.report(
        CLAIM, rows, ours=ours | {"ten_views": ten["top1"], "averaged": every["top1"], "pairs": pairs}, peer=None,
        ratio={}, n=auto["n"], repetitions=dict.fromkeys(ours, 1), threads=args.threads,
    )  # fmt: skip


def told(result: dict[str, Any]) -> str:
    """Top-1 with its interval."""
    return f"{100 * result['top1']:.1f} % ({100 * result['top1_low']:.1f} to {100 * result['top1_high']:.1f})"


def gain(difference: float) -> str:
    """In points."""
    return f"{100 * difference:+.1f} points"


if __name__ == "__main__":
    main()

"""What is wrong with the images of a folder, from what decoding found in each."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from .formats import NEEDS_HEIC, extension_lies
from .samples import Sample

TINY_SIDE = 32  # pixels: less than any network here was made for, but for digits
EXTREME_ASPECT = 4.0  # longer over shorter side; a centre crop shows a quarter of such an image

# Kind -> what to do about it.
ADVICE = {
    "unreadable": "replace the file or delete it",
    "needs heic": "install the extra: pip install 'convwise[heic]'",
    "extension lies": "rename it by its content; convwise reads it all the same",
    "in two classes": "delete it from the wrong class",
    "in two splits": "delete it from one split: a measured image must not be trained on",
    "duplicate": "delete the copies; they count twice",
    "tiny": "replace it by a larger picture, if there is one",
    "extreme aspect": "crop it to what matters",
}


class Facts(NamedTuple):
    """What is known of one file; `problem` says why it cannot be used."""

    sample: Sample
    format: str = ""
    width: int = 0
    height: int = 0
    problem: str = ""


class Problem(NamedTuple):
    """One thing to look at; `kind` is a key of `ADVICE`."""

    kind: str
    path: str
    detail: str


def find_problems(files: Iterable[Facts], *, sizes: bool = True) -> list[Problem]:
    """List everything there is to fix, kind by kind in the order of `ADVICE`, paths in the order given.

    Args:
        files: what is known of each.
        sizes: look at sizes too; those of IDX files are what they are.
    """
    found: list[Problem] = []
    copies: dict[str, list[Sample]] = defaultdict(list)
    for sample, image_format, width, height, problem in files:
        if problem:
            kind = "needs heic" if problem == NEEDS_HEIC else "unreadable"
            found.append(Problem(kind, sample.path, problem))
            continue
        copies[sample.sha256].append(sample)
        if extension_lies(sample.path, image_format):
            found.append(Problem("extension lies", sample.path, f"the content is {image_format}"))
        if sizes and min(width, height) < TINY_SIDE:
            found.append(Problem("tiny", sample.path, f"{width} x {height} pixels"))
        if sizes and max(width, height) > EXTREME_ASPECT * min(width, height):
            found.append(Problem("extreme aspect", sample.path, f"{width} x {height} pixels"))
    for same in copies.values():
        found += _copies(same)
    order = list(ADVICE)
    return sorted(found, key=lambda problem: order.index(problem.kind))


def _copies(same: list[Sample]) -> list[Problem]:
    """One problem for each file but the first of several with the same bytes."""
    problems = []
    first = same[0]
    for place, sample in enumerate(same[1:], 1):
        before = same[:place]
        if sample.label not in {other.label for other in before}:
            kind = "in two classes"
        elif sample.split not in {other.split for other in before}:
            kind = "in two splits"
        else:
            kind = "duplicate"
        problems.append(Problem(kind, sample.path, f"the same bytes as {first.path}"))
    return problems


def count_classes(samples: Iterable[Sample]) -> Mapping[str, Mapping[str | None, int]]:
    """Class -> split (None in a flat folder) -> images."""
    counts: dict[str, dict[str | None, int]] = {}
    for sample in samples:
        of_class = counts.setdefault(sample.label, {})
        of_class[sample.split] = of_class.get(sample.split, 0) + 1
    return counts

"""Which sample does what: `train` fits, `val` chooses where train, val and test are given, the measured split proves.

Everything follows from the hashes of the files' bytes, so that a split stays when files are added, renamed or moved,
and identical copies stand on one side.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ..errors import DataError
from .samples import Listing, Sample, natural_key
from .text import counted

MEASURED_SHARE = 0.2  # of a flat folder
HELD_OUT_SHARE = 0.1  # of train, where weights are trained
FOLDS = 5  # of a cross-validation


@dataclass(frozen=True)
class Roles:
    """The samples of a data set, each with its split.

    Attributes:
        samples: in the order given, `split` filled.
        classes: names in natural order; a label's index is its place here.
        chooses: the split that chooses, "val", or None: then cross-validation inside train does.
        measured: the split that is measured once.
        sentences: split -> what it does, for people.
    """

    samples: tuple[Sample, ...]
    classes: tuple[str, ...]
    chooses: str | None
    measured: str
    sentences: dict[str, str]

    def labels(self, samples: Iterable[Sample]) -> list[int]:
        """Indices of the samples' classes."""
        index = {name: i for i, name in enumerate(self.classes)}
        return [index[s.label] for s in samples]


def position(key: str, salt: str) -> float:
    """Where a key falls in [0, 1), uniformly and for good: SHA-256 of salt and key."""
    return int.from_bytes(hashlib.sha256(f"{salt}:{key}".encode()).digest()[:7]) / 2**56


def assign(samples: Sequence[Sample], split_seed: int) -> Roles:
    """Give every readable sample its split.

    Raises:
        DataError: fewer than two classes, no `train` split, or a class that `train` lacks.
    """
    if samples[0].split is None:
        samples = split_flat(samples, split_seed)
    elif {s.split for s in samples} == {"train"}:
        samples = split_flat([replace(s, split=None) for s in samples], split_seed)
    found = {s.split for s in samples if s.split}
    if "train" not in found:
        raise DataError(
            f"no usable image in split `train`, only in {', '.join(sorted(found))}; "
            "`train` is what the classifier learns from"
        )
    classes = sorted({s.label for s in samples if s.split == "train"}, key=natural_key)
    _check_classes(samples, classes)
    three = {"val", "test"} <= found
    measured = "test" if "test" in found else "val"
    if measured not in found:
        what = "images" if all(s.group is None for s in samples) else "groups"
        different = len({s.sha256 for s in samples})
        copies = "" if different == len(samples) else f" ({counted(different, 'different file')})"
        raise DataError(
            f"nothing is left to measure: every one of the {len(samples)} usable images{copies} is needed to train; "
            f"add {what}, two a class at least"
        )
    sentences = {
        "train": "fits the weights" if three else "fits the weights and, by parts that are held out, makes every choice"
    }
    if three:
        sentences["val"] = "makes every choice"
    sentences[measured] = "measured once; it chose nothing"
    return Roles(tuple(samples), tuple(classes), "val" if three else None, measured, sentences)


def check_splits(listing: Listing, usable: Sequence[Sample]) -> None:
    """Check that every split that is named has something left.

    Raises:
        DataError: not one image of a split can be used; the others would silently change their roles.
    """
    for split in sorted({str(s.split) for s in listing.samples if s.split} - {str(s.split) for s in usable}):
        n = sum(s.split == split for s in listing.samples)
        raise DataError(
            f"none of the {n} image files in split `{split}` can be used; mend them, or take the split away"
        )


def held_out(samples: Sequence[Sample], split_seed: int) -> list[bool]:
    """Mark the tenth of `train` that chooses when weights are trained; each class with two contents keeps one in each.

    The salt differs from the flat split's, so that the two are independent.
    """
    return _two_sides(samples, HELD_OUT_SHARE, f"held-out-{split_seed}")


def folds(samples: Sequence[Sample], count: int, split_seed: int) -> list[int]:
    """Deal the samples into `count` folds for cross-validation, class by class; identical copies stay together."""
    keys, keys_of = _keys_of(samples)
    fold: dict[str, int] = {}
    for label in sorted(keys_of, key=natural_key):
        for key in sorted(keys_of[label] - fold.keys(), key=lambda key: (position(key, f"fold-{split_seed}"), key)):
            fold[key] = len(fold) % count
    return [fold[key] for key in keys]


def split_flat(samples: Sequence[Sample], split_seed: int) -> list[Sample]:
    """Give every sample that has no split `train` or `test`, a fifth to `test`, by the hash of its group or content."""
    measured = _two_sides(samples, MEASURED_SHARE, f"split-{split_seed}")
    return [replace(s, split="test" if m else "train") for s, m in zip(samples, measured, strict=True)]


def _keys(samples: Sequence[Sample]) -> list[str]:
    """What each sample moves with: its group, or its content; groups that have a content in common are one."""
    keys = [f"group:{s.group}" if s.group is not None else s.sha256 for s in samples]
    above: dict[str, str] = {}

    def top(key: str) -> str:
        while key in above:
            above[key] = above.get(above[key], above[key])  # halves the way for the next
            key = above[key]
        return key

    first: dict[str, str] = {}
    for sample, key in zip(samples, keys, strict=True):
        one, other = sorted((top(first.setdefault(sample.sha256, key)), top(key)), key=lambda k: (k in first, k))
        if one != other:
            above[other] = one
    return [top(key) for key in keys]


def _keys_of(samples: Sequence[Sample]) -> tuple[list[str], dict[str, set[str]]]:
    """The key of each sample, and the keys of each class."""
    keys, of_class = _keys(samples), defaultdict(set)
    for sample, key in zip(samples, keys, strict=True):
        of_class[sample.label].add(key)
    return keys, of_class


def _two_sides(samples: Sequence[Sample], share: float, salt: str) -> list[bool]:
    """Whether each sample falls in the smaller side.

    A class that would get nothing there gives the key nearest the border, unless a class would then have nothing left
    to learn from; a class that would have nothing to learn from takes one back.
    """
    mine, keys_of = _keys_of(samples)
    place = {key: position(key, salt) for keys in keys_of.values() for key in keys}
    small = {key: where < share for key, where in place.items()}

    def nearest(keys: Iterable[str]) -> str:
        return min(keys, key=lambda key: (abs(place[key] - share), key))

    classes = [keys_of[label] for label in sorted(keys_of, key=natural_key)]
    for keys in classes:
        if not any(small[key] for key in keys):
            needed = {left[0] for of_class in classes if len(left := [k for k in of_class if not small[k]]) == 1}
            if spare := keys - needed:
                small[nearest(spare)] = True
    for keys in classes:
        if all(small[key] for key in keys):
            small[nearest(keys)] = False
    return [small[key] for key in mine]


def _check_classes(samples: Sequence[Sample], classes: Sequence[str]) -> None:
    for split in ("val", "test"):
        lacking = sorted({s.label for s in samples if s.split == split} - set(classes), key=natural_key)
        if lacking:
            names = ", ".join(repr(name) for name in lacking[:3])
            them = "it" if len(lacking) == 1 else "them"
            raise DataError(
                f"`{split}` has {counted(len(lacking), 'class', 'classes')} that `train` lacks: {names}; "
                f"add images of {them} to `train`, or take {them} out of `{split}`"
            )
    if len(classes) < 2:
        raise DataError(f"only one class has usable training images: {classes[0]!r}; a classifier needs two or more")

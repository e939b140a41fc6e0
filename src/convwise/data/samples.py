"""A folder of images -> samples: path, label and, where the layout says so, split.

Layouts: flat, `DIR/<class>/**`, or split, `DIR/<split>/<class>/**`, when every visible top folder is named train, val
(valid, validation) or test.
"""

import os
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import DataError
from .formats import FORMATS
from .sources import Files, Source, Stamp

LOOP = "links that lead back to a folder above"
SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


@dataclass(frozen=True, slots=True)
class Sample:
    """One image; `split` is None in a flat folder, `sha256` (hex, of the file's bytes) empty until it was read."""

    path: str
    label: str
    split: str | None = None
    group: str | None = None
    sha256: str = ""


@dataclass(frozen=True)
class Listing:
    """The samples of a folder or a manifest, in natural order of their paths, and what was passed over.

    Attributes:
        root: the folder or file, as given.
        samples: every file with an image's extension, or what else was named.
        source: where their bytes are.
        ignored: reason -> number of files or folders.
        empty: class folders without one image file.
    """

    root: Path
    samples: tuple[Sample, ...]
    source: Source
    ignored: dict[str, int] = field(default_factory=dict)
    empty: tuple[str, ...] = ()

    def path(self, sample: Sample) -> Path:
        """Where a sample is, as `Source.path`."""
        return self.source.path(sample.path)

    def stamp(self, sample: Sample) -> Stamp | None:
        """What changes when a sample may have changed, as `Source.stamp`."""
        return self.source.stamp(sample.path)

    def read(self, sample: Sample) -> bytes:
        """The bytes of a sample's file, as `Source.read`."""
        return self.source.read(sample.path)


def natural_key(text: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key under which "img2" comes before "img10"."""
    parts = re.split(r"(\d+)", unicodedata.normalize("NFC", text).casefold())
    return (*((1, int(p), "") if p.isdecimal() else (0, 0, p) for p in parts), (2, 0, text))


def list_folder(root: Path) -> Listing:
    """List the images of a folder in one of the two layouts; nothing is opened.

    Raises:
        DataError: no such folder, no image in it, or a mixture of split names and class names.
    """
    if not os.path.isdir(root):  # Path.is_dir raises for a name that is too long
        what = "is a file, not a folder" if os.path.exists(root) else "does not exist"
        raise DataError(
            f"data {str(root)!r} {what}; give a folder with one sub-folder of images a class, a folder of IDX files, "
            "or a CSV manifest"
        )
    walk = _Walk()
    top = walk.folders(root, "loose files beside the class folders")
    splits = {name for name in top if name.lower() in SPLITS}
    if splits and len(splits) < len(top):
        others = sorted(set(top) - splits, key=natural_key)
        raise DataError(
            f"data folder {str(root)!r} mixes split folders ({', '.join(sorted(splits))}) with others "
            f"({', '.join(others[:3])}); name every top folder train, val or test, or none of them"
        )
    for name in top:
        if not splits:
            walk.collect(root, name, name, None)
            continue
        for label in walk.folders(root / name, "loose files beside the class folders"):
            walk.collect(root, os.path.join(name, label), label, SPLITS[name.lower()])
    if not walk.samples:
        seen = "; ".join(f"{n} {reason}" for reason, n in walk.ignored.items()) or "it is empty"
        raise DataError(
            f"data folder {str(root)!r} holds no images in class folders ({seen}); "
            f"it needs one sub-folder a class, with files such as {', '.join(list(FORMATS)[:3])}, .png, .webp"
        )
    walk.samples.sort(key=lambda s: natural_key(s.path))
    empty = tuple(sorted(walk.empty, key=natural_key))
    return Listing(root, tuple(walk.samples), Files(root), dict(walk.ignored), empty)


class _Walk:
    """Collects samples, counts what it passes over, follows links but never into a loop."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self.ignored: Counter[str] = Counter()
        self.empty: list[str] = []

    def folders(self, folder: Path, loose: str) -> list[str]:
        """Names of the visible sub-folders, in natural order."""
        names = []
        for entry in _entries(folder):
            if entry.name.startswith("."):
                self.ignored["hidden files or folders"] += 1
            elif _is_folder(entry):
                names.append(entry.name)
            else:
                self.ignored[loose] += 1
        return sorted(names, key=natural_key)

    def collect(self, root: Path, relative: str, name: str, split: str | None) -> None:
        """Take every image file under one class folder."""
        before, label = len(self.samples), unicodedata.normalize("NFC", name)
        start = root / relative
        above = frozenset(os.path.realpath(folder) for folder in start.parents[: len(Path(relative).parts)])
        if os.path.realpath(start) in above:
            self.ignored[LOOP] += 1
            return
        pending = [(relative, above | {os.path.realpath(start)})]
        while pending:
            folder, above = pending.pop()
            for entry in _entries(root / folder):
                path = os.path.join(folder, entry.name)  # 60,000 Path objects are slow
                if entry.name.startswith("."):
                    self.ignored["hidden files or folders"] += 1
                elif _is_folder(entry):
                    real = os.path.realpath(entry.path)
                    if real in above:
                        self.ignored[LOOP] += 1
                    else:
                        pending.append((path, above | {real}))
                elif os.path.splitext(entry.name)[1].lower() in FORMATS:
                    self.samples.append(Sample(path, label, split))
                else:
                    self.ignored["files that are not images by their extension"] += 1
        if len(self.samples) == before:
            self.empty.append(relative)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise DataError(f"folder {str(folder)!r} cannot be listed: {error.strerror}") from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself: no folder, and unreadable as a file, which the decode pass reports
        return False

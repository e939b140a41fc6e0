"""The classifiers of a run that was trained from several seeds."""

import os
from pathlib import Path

from ..classifier import load
from ..data.samples import natural_key
from .rows import Named

MEMBERS = "members"  # folder in a run, beside `classifier`


def with_members(path: Path) -> tuple[Named, ...]:
    """The classifier in a folder, and where that is a run with further members, these.

    Raises:
        DataError: one of them is absent or damaged.
    """
    folder = path / MEMBERS
    others = sorted(os.listdir(folder), key=natural_key) if os.path.isdir(folder) else []
    members = [folder / name for name in others if not name.startswith(".")]
    return tuple(Named(str(place), load(place)) for place in (path, *members))

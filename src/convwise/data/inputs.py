"""What a user gives as data -> samples, whatever it is."""

import os
from pathlib import Path

from .idx import has_idx, list_idx
from .manifest import list_manifest
from .samples import Listing, list_folder


def list_samples(data: Path) -> Listing:
    """List the images of a folder of classes, a folder of IDX files, or a CSV manifest.

    Raises:
        DataError: it is none of them, or cannot be used.
    """
    if data.suffix.lower() == ".csv" and os.path.isfile(data):  # Path.is_file raises for a name that is too long
        return list_manifest(data)
    return list_idx(data) if has_idx(data) else list_folder(data)

"""Prepared images: decoded once, reduced to what training needs, and kept in the cache."""

import io
import math
from collections.abc import Sequence
from statistics import fmean as mean

from PIL import Image

from ..data import decoding, formats
from ..data.reduction import Reduction
from ..data.samples import Listing, Sample
from ..progress import Track, silent
from .cache import key_of
from .gather import Gathered, gather
from .images import StoredImages
from .index import FileIndex
from .jobs import Job
from .known import known_verdicts

HEADERS = 100  # files that are read to say beforehand how much disk all will take


def prepare_images(listing: Listing, reduction: Reduction, *, threads: int, track: Track = silent) -> Gathered:
    """Decode and reduce every image that is not in the cache yet; the rows of the result are `MappedImages`.

    The size is said before the work starts, by `track`.

    Raises:
        UsageError: they take more than the cache may hold.
        MachineError: they take more than the disk has free, or the disk gave out; what was written stays.
    """
    return gather(listing, [prepared_job(listing, reduction)], threads=threads, track=track)


def prepared_job(listing: Listing, reduction: Reduction) -> Job:
    """Want the whole images of a listing, their shorter side reduced."""
    key = key_of({"images": "prepared", "reduction": reduction.to_json(), "decoding": decoding.rule()})
    store = StoredImages(key, reduction.channels)
    size = estimate_bytes(listing, listing.samples, reduction)  # the store may hold images of other data, too
    return Job(
        f"images at {reduction.side} px", reduction, store, lambda pixels: pixels, row_bytes=size, image_bytes=size,
        growth=0,
    )  # fmt: skip


def estimate_bytes(listing: Listing, samples: Sequence[Sample], reduction: Reduction) -> float:
    """Bytes of a prepared image, the mean: exact for a few files, from evenly spread headers for many."""
    chosen = samples[:: max(1, len(samples) // HEADERS)]
    known = _known_sizes(listing, chosen)
    sizes = [size for s in chosen if (size := known.get(s.path) or _header_size(listing, s))]
    if not sizes:
        return 0.0
    return mean(math.prod(reduction.size(*size)) for size in sizes) * reduction.channels


def _known_sizes(listing: Listing, samples: Sequence[Sample]) -> dict[str, tuple[int, int]]:
    """Path -> width and height of the files that an earlier pass decoded and that are unchanged."""
    with FileIndex() as index:
        verdicts = known_verdicts(listing, samples, index)
    return {path: (verdict.width, verdict.height) for path, verdict in verdicts.items() if not verdict.problem}


def _header_size(listing: Listing, sample: Sample) -> tuple[int, int] | None:
    """Width and height of a file by its header; None where it has none that can be read."""
    try:
        with Image.open(io.BytesIO(listing.read(sample)), formats=formats.READABLE) as image:
            return image.size
    except Exception:  # the pass over all files says what is wrong with it
        return None

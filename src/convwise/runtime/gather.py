"""One pass over the images of a listing: read, hash, decode and compute whatever is not known yet, in threads.

A file is read once and decoded once for everything that is wanted of it. Nothing is scanned first: bad files come out
of this pass, each with its reason.
"""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from ..data import decoding, formats
from ..data.samples import Listing, Sample
from ..data.sources import Stamp
from ..data.threads import map_in_order
from ..errors import DataError, MachineError, MissingExtraError
from ..machine import in_bytes
from ..progress import Track, silent
from .cache import make_room
from .index import FileIndex, Verdict
from .jobs import Job
from .known import bytes_to_write, known_verdicts, lacking
from .room import check_room, names
from .rows import FLUSH_SECONDS
from .segments import Array

T = TypeVar("T")
ATTEMPTS = 4  # to have all rows at once, while other processes may delete some


@dataclass(frozen=True)
class Gathered:
    """What a pass found.

    Attributes:
        samples: the usable ones with their hashes, in the listing's order.
        verdicts: one a usable sample.
        skipped: path -> reason, for the files that cannot be used.
        rows: one array a job, (usable samples, *row), or what its store reads instead.
        files_read: files that were read now; of the others everything was known.
    """

    samples: tuple[Sample, ...]
    verdicts: tuple[Verdict, ...]
    skipped: dict[str, str]
    rows: tuple[Any, ...]
    files_read: int

    def check(self, listing: Listing) -> None:
        """Check that there is something to work with.

        Raises:
            MissingExtraError: all files are HEIC, which an extra reads.
            DataError: not one file is usable.
        """
        if not self.samples:
            if set(self.skipped.values()) == {formats.NEEDS_HEIC}:
                raise MissingExtraError(
                    f"all {len(self.skipped)} image files in {str(listing.root)!r} are HEIC; {formats.NEEDS_HEIC}"
                )
            path, reason = next(iter(self.skipped.items()))
            raise DataError(
                f"none of the {len(self.skipped)} image files in {str(listing.root)!r} can be used; "
                f"the first is {path!r}: {reason}"
            )


class _Look(NamedTuple):
    """What one thread found in one file."""

    mark: Stamp | None
    verdict: Verdict
    rows: tuple[tuple[Job, Array], ...] = ()


def gather(listing: Listing, jobs: Sequence[Job], *, threads: int, track: Track = silent) -> Gathered:
    """Read every file whose rows or verdict are not known, and collect the rows of all.

    Raises:
        UsageError: the rows are more than the cache may take.
        MachineError: they are more than the disk or the memory can take; or the disk gave out, and rows written before
            stay.
    """
    make_room([job.rows.folder for job in jobs])
    files_read, rows = 0, []
    with FileIndex() as index:
        verdicts = known_verdicts(listing, listing.samples, index)
        check_room(jobs, len(listing.samples), bytes_to_write(jobs, listing.samples, verdicts), threads)
        missing = [s for s in listing.samples if s.path not in verdicts or any(lacking(j, [s], verdicts) for j in jobs)]
        for _ in range(ATTEMPTS):
            if missing:
                files_read += len(missing)
                verdicts.update(_look_at(listing, missing, jobs, index, threads, track))
            usable = [s for s in listing.samples if not verdicts[s.path].problem]
            contents = [bytes.fromhex(verdicts[s.path].sha256) for s in usable]
            found = [job.rows.read(contents) for job in jobs]
            gone = {content for _, absent in found for content in absent}  # deleted or damaged by others meanwhile
            missing = [s for s, content in zip(usable, contents, strict=True) if content in gone]
            if not missing:
                rows = [array for array, _ in found]
                break
        else:
            raise MachineError(
                f"{len(missing)} cached rows vanish as fast as they are computed; "
                "is another process clearing the cache, or is CONVWISE_CACHE_GB too small?"
            )
    make_room([job.rows.folder for job in jobs])
    return Gathered(
        tuple(replace(s, sha256=verdicts[s.path].sha256) for s in usable),
        tuple(verdicts[s.path] for s in usable),
        {s.path: verdicts[s.path].problem for s in listing.samples if verdicts[s.path].problem},
        tuple(rows),
        files_read,
    )


def _look_at(
    listing: Listing, samples: Sequence[Sample], jobs: Sequence[Job], index: FileIndex, threads: int, track: Track
) -> dict[str, Verdict]:
    """Look at the files in threads; keep rows and verdicts as they come."""

    def look(sample: Sample) -> _Look:
        return _look(listing, sample, jobs)

    verdicts: dict[str, Verdict] = {}
    unsaved: list[tuple[Path, Stamp, Verdict]] = []
    saved = time.monotonic()
    looks = track(map_in_order(look, samples, threads), len(samples), _what(jobs, len(samples)))
    try:
        for sample, found in zip(samples, looks, strict=True):
            verdicts[sample.path] = found.verdict
            for job, row in found.rows:
                job.rows.add(bytes.fromhex(found.verdict.sha256), row)
            if found.mark is not None and found.verdict.sha256:
                unsaved.append((listing.path(sample), found.mark, found.verdict))
            if time.monotonic() - saved > FLUSH_SECONDS:
                index.add(unsaved)
                unsaved, saved = [], time.monotonic()
    except MachineError:
        raise
    except BaseException:  # Ctrl-C above all: what is finished is kept
        _save(jobs, index, unsaved)
        raise
    _save(jobs, index, unsaved)
    return verdicts


def _save(jobs: Sequence[Job], index: FileIndex, unsaved: Sequence[tuple[Path, Stamp, Verdict]]) -> None:
    for job in jobs:
        job.rows.flush()
    index.add(unsaved)


def _look(listing: Listing, sample: Sample, jobs: Sequence[Job]) -> _Look:
    mark = listing.stamp(sample)
    try:
        data = listing.read(sample)
    except OSError as error:
        return _Look(mark, Verdict("", problem=f"cannot be read: {error.strerror or error}"))
    digest = hashlib.sha256(data)
    wanted = [job for job in jobs if digest.digest() not in job.rows]
    try:
        header, pixels = decoding.decode(data, [job.preprocessing for job in wanted])
    except decoding.UnreadableImageError as error:
        return _Look(mark, Verdict(digest.hexdigest(), problem=str(error)))
    rows = tuple((job, job.compute(p)) for job, p in zip(wanted, pixels, strict=True))
    return _Look(mark, Verdict(digest.hexdigest(), *header), rows)


def _what(jobs: Sequence[Job], n: int) -> str:
    """What the pass does, with the size of what it will put on disk."""
    if not jobs:
        return "reading"
    return f"{names(jobs)} ({in_bytes(round(n * sum(job.row_bytes for job in jobs)))} to cache)"

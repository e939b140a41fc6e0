"""What is known of files without reading them."""

from collections.abc import Mapping, Sequence

from ..data.samples import Listing, Sample
from .index import FileIndex, Verdict
from .jobs import Job


def known_verdicts(listing: Listing, samples: Sequence[Sample], index: FileIndex) -> dict[str, Verdict]:
    """Path -> what decoding found, of the files that an earlier pass looked at and that are unchanged."""
    files = index.lookup(listing.path(s) for s in samples)
    hashes = {}
    for s in samples:
        entry = files.get(listing.path(s))
        if entry and entry[0] == listing.stamp(s):
            hashes[s.path] = entry[1]
    verdicts = index.verdicts(hashes.values())
    return {path: verdicts[sha256] for path, sha256 in hashes.items() if sha256 in verdicts}


def lacking(job: Job, samples: Sequence[Sample], known: Mapping[str, Verdict]) -> int:
    """How many of the samples may need a row that the job does not have."""
    verdicts = [known.get(s.path) for s in samples]
    return sum(v is None or (not v.problem and bytes.fromhex(v.sha256) not in job.rows) for v in verdicts)


def bytes_to_write(jobs: Sequence[Job], samples: Sequence[Sample], known: Mapping[str, Verdict]) -> int:
    """Bytes of the rows that the jobs do not have, about."""
    return round(sum(job.row_bytes * lacking(job, samples, known) for job in jobs))

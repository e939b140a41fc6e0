"""Which of a listing's images are measured."""

from dataclasses import replace

from ..classifier import Classifier
from ..data.roles import split_flat
from ..data.samples import Listing, natural_key
from ..data.text import counted
from ..errors import DataError, one_of
from ..progress import Track
from ..runtime.gather import gather

SPLITS = ("train", "val", "test", "all")


def measured_part(
    classifier: Classifier, listing: Listing, split: str | None, threads: int, track: Track
) -> tuple[Listing, str, int]:
    """The part of a listing that is measured, its name, and how many images of a flat folder are not in it.

    Raises:
        UsageError: no such split.
        DataError: no image in the split, or a class that the classifier does not know.
    """
    if split is not None and split not in SPLITS:
        raise one_of("split", split, SPLITS)
    listing, split, left_out = _part(classifier, listing, split, threads, track)
    _check_classes(classifier, listing)
    return listing, split, left_out


def _part(
    classifier: Classifier, listing: Listing, split: str | None, threads: int, track: Track
) -> tuple[Listing, str, int]:
    """The part of a listing that is measured, its name, and how many images of a flat folder are not in it."""
    samples = listing.samples
    found = {s.split for s in samples}
    if split == "all":
        return listing, "all", 0
    flat = found <= {None, "train"}  # or a `train` folder alone: `fit` has split it by the hashes
    if flat:
        hashed = gather(listing, [], threads=threads, track=track).samples
        seen = classifier.provenance.trained_on
        if split is None and not any(s.sha256 in seen for s in hashed):
            return listing, "all", 0
        samples = tuple(split_flat([replace(s, split=None) for s in hashed], classifier.provenance.split_seed))
        found = {s.split for s in samples}
        split = split or "test"
    split = split or ("test" if "test" in found else "val")
    if split not in found:
        there = ", ".join(sorted(str(name) for name in found))
        raise DataError(f"data {str(listing.root)!r} has no usable image in split {split!r}, only in {there}")
    measured = tuple(s for s in samples if s.split == split)
    return replace(listing, samples=measured), split, len(samples) - len(measured) if flat else 0


def _check_classes(classifier: Classifier, listing: Listing) -> None:
    unknown = sorted({s.label for s in listing.samples} - set(classifier.classes), key=natural_key)
    if unknown:
        names, classes = ", ".join(repr(name) for name in unknown[:3]), counted(len(unknown), "class", "classes")
        raise DataError(
            f"data {str(listing.root)!r} has {classes} that the classifier does not know: "
            f"{names}; it knows {', '.join(repr(name) for name in classifier.classes[:5])}"
            + (", ..." if len(classifier.classes) > 5 else "")
        )

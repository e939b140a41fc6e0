"""What a user should know about the data of a run, in sentences."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from ..data.formats import NEEDS_HEIC, extension_lies
from ..data.roles import Roles
from ..data.samples import Listing
from ..data.text import counted
from ..runtime.gather import Gathered
from .options import Options
from .outcome import Tried
from .task import Candidate, Step, Task

FEW = 30  # images; the standard error of a mean over so many is a fifth of their spread


def say_resolution(candidates: Iterable[Candidate], options: Options) -> tuple[str, ...]:
    """Say which candidates work far from the resolution that their published weights were trained at."""
    notes = []
    for candidate in candidates:
        published = options.published(candidate.network) if candidate.transfer != "none" else None
        resolution = candidate.preprocessing.resolution
        if published and not 0.5 <= resolution / published.preprocessing.resolution <= 2:
            usual = published.preprocessing.resolution
            notes.append(f"{candidate.network} works at {resolution} px; its weights were trained at {usual} px")
    return tuple(dict.fromkeys(notes))


def say_from_scratch(options: Options) -> tuple[str, ...]:
    """Say which networks have no ladder to climb."""
    without = [name for name in options.network if options.transfer_of(name) == "none"]
    if options.transfer != "auto":
        return ()
    return tuple(f"{name} was trained from scratch: transfer 'auto' needs published weights" for name in without)


def say_few_choose(task: Task, history: Sequence[Step]) -> tuple[str, ...]:
    """Say that a choice among epochs is little more than chance, where it is."""
    n = int((task.val if task.val.any() else task.held_out).sum())
    if n >= FEW or len(history) < 2 or not history[0].epoch:
        return ()
    chosen = f"the epoch was chosen by {counted(n, 'image')}: an early one may win by chance"
    return (f"{chosen}; more images in `train`, or a `val` split, choose better",)


def say_tie(tried: Sequence[Tried]) -> tuple[str, ...]:
    """Say why a rung is kept that its top-1 does not explain: another one surpasses it, or it gained too little."""
    kept = next(one for one in tried if one.chosen)
    surpassed = tuple(
        f"{kept.network}: transfer {kept.transfer!r} is kept, and not {one.transfer!r}, whose top-1 on the images held "
        "out is higher, but by no more than its noise"
        for one in tried
        if one.network == kept.network and one.choice_top1.value > kept.choice_top1.value
    )
    if kept.gain is None or kept.gain.difference > kept.gain.noise:
        return surpassed
    by_nll = (
        f"{kept.network}: transfer {kept.transfer!r} is kept for its NLL, which is lower by more than twice its noise; "
        "top-1 on the images held out does not tell it from the rung below"
    )
    return (*surpassed, by_nll)


def say_unchecked(candidates: Iterable[Candidate]) -> tuple[str, ...]:
    """Say whose published weights could not be held to a hash."""
    notes = (
        f"the weights of {c.network} are unchecked: no hash is published for their file, which was put there by hand, "
        f"so that nothing but its name says that it holds {c.weights.id}"
        for c in candidates
        if c.weights and not c.weights.checked
    )
    return tuple(dict.fromkeys(notes))


def say(listing: Listing, roles: Roles, gathered: Gathered) -> tuple[str, ...]:
    """Give the sentences on the data; none where all is well."""
    return (*_on_files(gathered), *_on_copies(roles), *_on_classes(listing, roles, gathered))


def _on_files(gathered: Gathered) -> Iterator[str]:
    heic = sum(reason == NEEDS_HEIC for reason in gathered.skipped.values())
    if heic:
        yield f"{_files(heic)} in HEIC could not be read; they need an extra: `pip install 'convwise[heic]'`"
    lying = sum(extension_lies(s.path, v.format) for s, v in zip(gathered.samples, gathered.verdicts, strict=True))
    if lying:
        yield f"{_files(lying)} with an extension that names another format than the content; read by content"
    animated = sum(v.animated for v in gathered.verdicts)
    if animated:
        yield f"{_files(animated)} with several frames; the first one counts"


def _on_copies(roles: Roles) -> Iterator[str]:
    """Files of the same bytes in two splits, in what is measured, or in two classes."""
    split_of: dict[str, set[str]] = {}
    labels_of: dict[str, set[str]] = {}
    for s in roles.samples:
        split_of.setdefault(s.sha256, set()).add(str(s.split))
        labels_of.setdefault(s.sha256, set()).add(s.label)
    leaked = sum(s.split == roles.measured and "train" in split_of[s.sha256] for s in roles.samples)
    if leaked:
        yield (
            f"{leaked} of the measured images are also in `train`, byte for byte: the figures flatter; "
            "`convwise scan` lists them"
        )
    measured = [s.sha256 for s in roles.samples if s.split == roles.measured]
    if (different := len(set(measured))) < len(measured):
        files = f"{different} different file" + ("s" if different > 1 else "")
        yield f"the {len(measured)} measured images are only {files}: the intervals take copies for images of their own"
    torn = sum(len(labels) > 1 for labels in labels_of.values())
    if torn:
        stand = "1 image stands" if torn == 1 else f"{torn:,} images stand"
        yield f"{stand} in more than one class, byte for byte; `convwise scan` lists them"


def _on_classes(listing: Listing, roles: Roles, gathered: Gathered) -> Iterator[str]:
    counts = Counter(s.label for s in roles.samples if s.split == "train")
    if few := [name for name in roles.classes if counts[name] < 5]:
        yield f"{counted(len(few), 'class', 'classes')} with fewer than 5 images to train: {_names(few)}"
    seen = {s.label for s in roles.samples if s.split == roles.measured}
    if unseen := [name for name in roles.classes if name not in seen]:
        yield f"{counted(len(unseen), 'class', 'classes')} without an image to measure on: {_names(unseen)}"
    for name in listing.empty:
        yield f"class folder {name!r} holds no image file and is no class"
    for name in sorted({s.label for s in listing.samples} - {s.label for s in gathered.samples}):
        yield f"class {name!r} has no usable image and is no class"


def _names(names: list[str]) -> str:
    return ", ".join(repr(name) for name in names[:3]) + (", ..." if len(names) > 3 else "")


def _files(n: int) -> str:
    return counted(n, "file")

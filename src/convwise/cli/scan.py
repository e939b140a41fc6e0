"""`convwise scan`."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from ..data.text import counted
from .files import Overwrite, check_table
from .output import Json, Quiet, Threads, print_json, progress, say, short, thread_count

if TYPE_CHECKING:
    from ..data.problems import Problem


def scan(
    data: Annotated[Path, Argument(metavar="DATA", help="Folder or CSV manifest of labelled images.")],
    csv: Annotated[Path | None, Option(metavar="FILE", help="Write what to fix, one row a file.")] = None,
    overwrite: Overwrite = False,
    threads: Threads = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List what is wrong with labelled images; change nothing."""
    from ..data.idx import IdxImages
    from ..data.inputs import list_samples
    from ..data.problems import ADVICE, Facts, count_classes, find_problems
    from ..data.text import write_csv
    from ..errors import UsageError
    from ..runtime.gather import gather

    check_table(csv, overwrite=overwrite)
    count = thread_count(threads)
    listing = list_samples(data)
    found = gather(listing, [], threads=count, track=progress(quiet))
    usable = {s.path: Facts(s, v.format, v.width, v.height) for s, v in zip(found.samples, found.verdicts, strict=True)}
    facts = [usable.get(s.path) or Facts(s, problem=found.skipped[s.path]) for s in listing.samples]
    problems = find_problems(facts, sizes=not isinstance(listing.source, IdxImages))
    if csv:
        try:
            write_csv(csv, ["kind", "path", "detail", "advice"], ([*p, ADVICE[p.kind]] for p in problems))
        except OSError as error:
            raise UsageError(f"--csv {str(csv)!r} cannot be written: {error.strerror}") from error
    counts = count_classes(found.samples)
    record = {
        "path": str(data),
        "n": len(found.samples),
        "skipped": len(found.skipped),
        "classes": {name: {split or "all": n for split, n in by_split.items()} for name, by_split in counts.items()},
        "empty": list(listing.empty),
        "ignored": listing.ignored,
        "problems": [p._asdict() for p in problems],
    }
    if json:
        print_json(record)
    else:
        _show(record, problems, csv)


def _show(record: dict[str, Any], problems: "list[Problem]", csv: Path | None, most: int = 3) -> None:
    from ..data.problems import ADVICE
    from ..data.samples import natural_key

    classes = record["classes"]
    splits = [s for s in ("train", "val", "test", "all") if any(s in counts for counts in classes.values())]
    usable, kinds = counted(record["n"], "usable image"), counted(len(classes), "class", "classes")
    say(f"{usable} in {kinds}, {record['skipped']} that cannot be used")
    width = max(len(short(name)) for name in [*classes, "class"])
    say()
    say(f"  {'class':{width}}" + "".join(f"{'images' if s == 'all' else s:>9}" for s in splits))
    for name in sorted(classes, key=natural_key):
        say(f"  {short(name):{width}}" + "".join(f"{classes[name].get(s, 0):9}" for s in splits))
    for name in record["empty"]:
        say(f"  {short(name):{width}}  no image files")
    for reason, n in record["ignored"].items():
        say(f"  passed over: {n} {reason}")
    for kind, n in Counter(p.kind for p in problems).items():
        say()
        say(f"{n} {kind}: {ADVICE[kind]}")
        for p in [p for p in problems if p.kind == kind][:most]:
            say(f"  {p.path}: {p.detail}")
        if n > most:
            say(f"  ... and {n - most} more" + ("" if csv else "; --csv FILE lists all"))
    if not problems:
        say()
        say("nothing to fix")
    elif csv:
        say()
        say(f"listed in {csv}")

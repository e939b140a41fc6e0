"""`convwise evaluate`."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from ..data.text import counted
from .output import (
    Json,
    Quiet,
    Threads,
    cost_line,
    interval,
    percent,
    print_json,
    progress,
    say,
    say_table,
    short,
    thread_count,
)  # fmt: skip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..classifier import Classifier
    from ..evaluation import Evaluation, Named, Row
    from ..metrics import Paired


def evaluate(
    classifier: Annotated[Path, Argument(metavar="CLASSIFIER", help="Folder of a run or of a classifier.")],
    data: Annotated[Path, Argument(metavar="DATA", help="Folder or CSV manifest of labelled images.")],
    views: Annotated[
        str | None, Option(metavar="10|flip", help="Average several views of each image: AlexNet's ten, or its mirror.")
    ] = None,
    others: Annotated[
        list[Path] | None,
        Option("--with", metavar="CLASSIFIER", help="Compare with another, and average with it; any number of times."),
    ] = None,
    split: Annotated[
        str | None, Option(metavar="NAME", help="train, val, test or all; by default the one that `fit` would measure.")
    ] = None,
    threads: Threads = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure a classifier on labelled images.

    With others, with several views, or of a run with members: what averaging gains and costs.
    """
    from ..classifier import load
    from ..data.inputs import list_samples
    from ..evaluation import Named, price, with_members

    count = thread_count(threads)
    start = time.monotonic()
    own = with_members(classifier)
    named = [own[0], *(Named(str(path), load(path)) for path in others)] if others else own
    rows = price(named, list_samples(data), threads=count, views=views, split=split, track=progress(quiet))
    record = _record(named[0].classifier, rows, time.monotonic() - start, threads=count)
    if json:
        print_json(record)
    else:
        _show(record, rows, _members(len(own), bool(others)), _copies(named))


def _record(classifier: "Classifier", rows: "Sequence[Row]", seconds: float, *, threads: int) -> dict[str, Any]:
    row = rows[0]
    found = row.evaluation
    return {
        **found.summary.to_json(classifier.classes), "split": found.split, "macs": classifier.macs,
        "params": classifier.params, "latency_ms": row.latency_ms, "seconds": round(seconds, 3),
        "path": row.name, "temperature": classifier.temperature, "ece": found.reliability.ece,
        "ece_by_chance": found.reliability.ece_by_chance, "trained_on": found.trained_on,
        "chosen_on": found.chosen_on, "left_out": found.left_out, "different": found.different,
        "skipped": found.skipped, "threads": threads,
        "confusion": found.summary.confusion.tolist() if len(classifier.classes) <= 50 else None,
        "rows": [row.to_json() for row in rows],
    }  # fmt: skip


def _members(count: int, others: bool) -> str:
    """What became of the members of the run; empty where it has one alone."""
    if count > 1:
        together = f"{count} in this run, each alone and averaged below; it predicts with A"
        return f"{count - 1} others in this run, left out beside --with" if others else together
    return ""


def _copies(named: "Sequence[Named]") -> dict[str, str]:
    """Letters of classifiers that are, byte for byte, an earlier one, and the letter of that."""
    from ..evaluation.tricks import letter

    first: dict[str, str] = {}
    known = {letter(i): one.classifier.sha256["classifier.json"] for i, one in enumerate(named)}
    return {mine: first[which] for mine, which in known.items() if first.setdefault(which, mine) != mine}


def _show(record: dict[str, Any], rows: "Sequence[Row]", members: str, copies: Mapping[str, str]) -> None:
    found = rows[0].evaluation
    s = found.summary
    say(f"{interval(*s.top1)} of {counted(s.n, 'image')} right, split `{found.split}`")
    _caution(found)
    say(f"  balanced accuracy  {interval(*s.balanced_accuracy)}")
    say(f"  macro F1           {interval(*s.macro_f1)}")
    say(f"  NLL                {s.nll.value:.3f} ({s.nll.low:.3f} to {s.nll.high:.3f})")
    say(f"  calibration error  {percent(record['ece'])} (by chance up to {percent(record['ece_by_chance'])})")
    say(f"  cost               {cost_line(record)}")
    if members:
        say(f"  members            {members}")
    if found.left_out:
        left_out = counted(found.left_out, "image")
        say(f"  left out           {left_out} that `fit` would train on; --split all takes them too")
    if unseen := [row["class"] for row in record["per_class"] if not row["support"]]:
        classes = counted(len(unseen), "class", "classes")
        say(f"  not measured       {classes} without an image here, the first {unseen[0]!r}")
    if found.skipped:
        path, reason = next(iter(found.skipped.items()))
        say(f"  skipped            {counted(len(found.skipped), 'file')}, the first {path}: {reason}")
    _show_classes(record["per_class"])
    if len(rows) > 1:
        _show_rows(rows, copies)


def _show_rows(rows: "Sequence[Row]", copies: Mapping[str, str]) -> None:
    """What averaging gains and costs, and in words whether it is worth it."""
    say()
    letters = {row.letters[0]: row.members[0] for row in rows if len(row.members) == 1}
    for letter, name in letters.items():
        say(f"  {letter}  {name}" + (f"  (the same classifier as {copies[letter]})" if letter in copies else ""))
    say()
    table = [["", "top-1", "change, points (95 % interval)", "MACs", "time"]]
    for row in rows:
        cost = [f"x {row.times_macs:.3g}", f"x {row.times_latency:.3g}"]
        if not row.paired:
            cost = [f"{row.macs / 1e6:.1f} M", f"{row.latency_ms:.3g} ms"]
        table.append([row.label, percent(row.evaluation.summary.top1.value), _change(row.paired), *cost])
    say_table(table)
    for row in rows[1:]:
        say(f"  {row.label}: {row.verdict}")
        if row.evaluation.trained_on > rows[0].evaluation.trained_on:
            say(f"    caution: trained on {row.evaluation.trained_on} of these images")


def _change(paired: "Paired | None") -> str:
    return f"{100 * paired.difference:+.1f} ({100 * paired.low:+.1f} to {100 * paired.high:+.1f})" if paired else ""


def _caution(found: "Evaluation") -> None:
    """Say how many of the images the classifier knew, and whether they are few."""
    from ..metrics import FEW_IMAGES

    if found.trained_on:
        say(f"  caution            it was trained on {found.trained_on} of them: this is no estimate for new images")
    if found.chosen_on:
        say(f"  caution            {found.chosen_on} of them made a choice for it: this is no estimate for new images")
    if (n := found.different) < len(found.samples):
        say(f"  caution            only {n} of the files differ: the intervals take copies for images of their own")
    if n < FEW_IMAGES:
        say(f"  few images         one more or less right moves top-1 by {100 / len(found.samples):.1f} points")


def _show_classes(rows: list[dict[str, Any]], most: int = 30) -> None:
    names = [short(row["class"]) for row in rows[:most]]
    width = max(len(name) for name in [*names, "class"])
    say()
    say(f"  {'class':{width}}  images  precision  recall    F1")
    for name, row in zip(names, rows, strict=False):
        cells = [f"{100 * row[m]:6.1f} %" if row[m] is not None else "       -" for m in ("precision", "recall", "f1")]
        say(f"  {name:{width}}  {row['support']:6}   {'  '.join(cells)}")
    if len(rows) > most:
        say(f"  ... and {len(rows) - most} more classes; --json has them all")

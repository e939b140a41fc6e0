"""`convwise networks`."""

import shutil
import textwrap
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument

from .output import Json, aligned, print_json, say, say_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..networks.casebook import Entry, Paper

    Entries = Mapping[str, Entry]

WIDEST = 100  # columns
NARROWEST = 30  # columns that a text beside others may have; else it stands below them
LEGEND = (
    "params and MACs are of one image at the input shown, as counted here: convolutions and matrix products; `printed` "
    "is what the publication says, and a top-1 with * is of another form, told in the notes. convwise networks NAME "
    "shows one network, its arguments and its published weights; convwise cost NAME, where its params and MACs are."
)


def networks(
    name: Annotated[str | None, Argument(metavar="NAME", help="One network in full; the whole casebook if left out.")]
    = None,
    json: Json = False,
) -> None:  # fmt: skip
    """List the casebook, or show one network of it.

    Params, MACs and top-1 as published, params and MACs also as counted here; of one network its arguments and
    published weights too.
    """
    from .. import networks as casebook

    asked = casebook.names() if name is None else (name,)
    entries = {each: casebook.describe(each) for each in asked}
    if json:
        records = [_record(*item) for item in entries.items()]
        print_json({"networks": records} if name is None else records[0])
    elif name is None:
        _show_all(entries)
    else:
        _show_one(name, entries[name])


def _show_all(entries: "Entries") -> None:
    width = max(map(len, entries))
    papers = [(paper, dict(group)) for paper, group in groupby(entries.items(), key=lambda item: item[1].paper)]
    for paper, group in papers:
        _show_heading(paper, group)
        _show_counts(group, width)
        say()
    _wrap(LEGEND, "", "")
    say()
    say("Notes")
    for paper, group in papers:
        say()
        say(f"{paper.year}  {paper.title}")
        _show_notes(paper, group)


def _show_one(name: str, entry: "Entry") -> None:
    from .. import weights

    _show_heading(entry.paper, {name: entry})
    _show_counts({name: entry}, len(name))
    side, classes = entry.smallest, entry.num_classes
    say(f"  input of at least {side}x{side} pixels; {classes:,} classes unless another number is asked for")
    say()
    _show_notes(entry.paper, {name: entry})
    say()
    say("Arguments (--argument NAME=VALUE of convwise cost; in Python arguments={NAME: VALUE})")
    rows = [(key, a.words(), a.usual()) for key, a in entry.arguments.items()]
    meanings = ["meaning", *(a.meaning for a in entry.arguments.values())]
    for row, meaning in zip(aligned([("", "is", "default"), *rows], "<<<"), meanings, strict=True):
        if _columns() - len(row) < NARROWEST:
            say(f"  {row}".rstrip())
            _wrap(meaning, " " * 4, " " * 4)
        else:
            _wrap(meaning, f"  {row}  ", " " * (len(row) + 4))
    say()
    found = weights.all_published(name)
    if not found:
        say("Nobody has published weights of it that convwise knows of.")
        return
    say("Published weights (--weights ID of convwise fit; in Python weights=ID); the first are the default")
    table = [("", "top-1", "px", "licence", "arguments")]
    for each in found:
        needed = ", ".join(f"{key}={str(value).lower()}" for key, value in each.arguments.items())
        table.append((each.id, f"{100 * each.top1:.2f} %", str(each.preprocessing.resolution), each.licence, needed))
    say_table(table, "<>><<")


def _show_counts(entries: "Entries", width: int) -> None:
    """The table of some networks, with names `width` wide."""
    rows = [(" " * width, "input", "params", "printed", "MACs", "printed", "top-1")]
    figures = _at_point([entry.accuracy.percent() if entry.accuracy else "-" for entry in entries.values()])
    for (name, entry), top1 in zip(entries.items(), figures, strict=True):
        size = f"{entry.resolution}x{entry.resolution}x{entry.channels}"
        params, macs = (entry.printed.params, entry.printed.macs) if entry.printed else (None, None)
        rows.append((name, size, f"{entry.params:,}", params or "-", f"{entry.macs:,}", macs or "-", top1))
    say_table(rows)


def _at_point(figures: "Sequence[str]") -> list[str]:
    """Figures with spaces behind them, so that their points stand below one another in a column to the right."""
    behind = [len("".join(figure.partition(".")[1:])) for figure in figures]
    return [figure + " " * (max(behind) - length) for figure, length in zip(figures, behind, strict=True)]


def _show_heading(paper: "Paper", entries: "Entries") -> None:
    """Year and title of a paper, and the idea of its networks."""
    from ..networks.casebook import shared

    say(f"{paper.year}  {paper.title}")
    for idea in shared({name: [f"{entry.idea}."] for name, entry in entries.items()}):
        _wrap(idea, "  ", "    ")


def _show_notes(paper: "Paper", entries: "Entries") -> None:
    """Who wrote a paper and where it is, and what is to be said of the figures of its networks."""
    from ..networks.casebook import shared

    _wrap(f"{paper.authors}, {paper.venue}, {paper.url}", "  ", "  ")
    for note in shared({name: entry.notes() for name, entry in entries.items()}):
        _wrap(note, "    ", "      ")


def _wrap(text: str, first: str, rest: str) -> None:
    """Print a text in lines of `_columns()`."""
    for line in textwrap.wrap(
        text, _columns(), initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    ):
        say(line)


def _columns() -> int:
    """As wide as the terminal, or as COLUMNS says, `WIDEST` at most."""
    return min(WIDEST, shutil.get_terminal_size((WIDEST, 1)).columns)


def _record(name: str, entry: "Entry") -> dict[str, Any]:
    from .. import weights

    printed, accuracy = entry.printed, entry.accuracy
    counts = dict(zip(("params_count", "macs_count"), printed.counts(), strict=True)) if printed else {}
    taken = {key: {"type": a.words(), "default": a.default, "meaning": a.meaning} for key, a in entry.arguments.items()}
    return {
        "name": name,
        "year": entry.paper.year,
        "paper": entry.paper._asdict(),
        "idea": entry.idea,
        "input_shape": [entry.channels, entry.resolution, entry.resolution],
        "smallest": entry.smallest,
        "num_classes": entry.num_classes,
        "arguments": {"fixed": dict(entry.fixed), "open": taken},
        "params": entry.params,
        "macs": entry.macs,
        "counted_by": f"convwise cost {name}",
        "printed": printed and printed._asdict() | counts,
        "difference": entry.difference,
        "published": accuracy and {"top1": accuracy.top1, **accuracy._asdict()},
        "weights": [published.to_json() for published in weights.all_published(name)],
    }

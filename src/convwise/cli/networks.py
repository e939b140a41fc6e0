"""`convwise networks`."""

import textwrap
from itertools import groupby
from typing import TYPE_CHECKING, Any

from .output import Json, print_json, say

if TYPE_CHECKING:
    from ..networks.casebook import Entry

WIDTH = 110


def networks(json: Json = False) -> None:
    """List the casebook: every network, what its paper prints and what is counted here."""
    from .. import networks as casebook

    entries = {name: casebook.describe(name) for name in casebook.names()}
    if json:
        print_json({"networks": [_record(name, entry) for name, entry in entries.items()]})
        return
    width = max(map(len, entries))
    for paper, group in groupby(entries.items(), key=lambda item: item[1].paper):
        say(f"{paper.year}  {paper.title}")
        say(f"      {paper.authors}, {paper.venue}, {paper.url}")
        _table(dict(group), width)
        say()
    say("params and MACs are of one image at the input shown, as counted here: convolutions and matrix products;")
    say("`printed` is what the publication says. convwise cost NETWORK shows where they are.")


def _table(entries: "dict[str, Entry]", width: int) -> None:
    rows = [("", "input", "params", "printed", "MACs", "printed", "top-1")]
    notes: dict[str, list[str]] = {}
    for name, entry in entries.items():
        size = f"{entry.resolution}x{entry.resolution}x{entry.channels}"
        params, macs = (entry.printed.params, entry.printed.macs) if entry.printed else (None, None)
        top1 = f"{100 * entry.accuracy.top1:.4g} %" if entry.accuracy else "-"  # as many digits as are published
        rows.append((name, size, f"{entry.params:,}", params or "-", f"{entry.macs:,}", macs or "-", top1))
        for note in _notes(entry):
            notes.setdefault(note, []).append(name)
    say()
    widths = [width, *(max(len(row[i]) for row in rows) for i in range(1, len(rows[0])))]
    for name, *cells in rows:
        say(f"  {name:{width}}" + "".join(f"  {cell:>{w}}" for cell, w in zip(cells, widths[1:], strict=True)))
    for note, names in notes.items():
        whose = "" if len(names) == len(entries) else f"{', '.join(names)}: "
        for line in textwrap.wrap(f"{whose}{note}", WIDTH, initial_indent="    ", subsequent_indent="      "):
            say(line)


def _notes(entry: "Entry") -> list[str]:
    notes = [f"idea: {entry.idea}."]
    if entry.printed:
        notes.append(f"printed: {entry.printed.source}.")
    if entry.difference:
        notes.append(f"difference: {entry.difference}.")
    if entry.accuracy:
        notes.append(f"top-1: {entry.accuracy.protocol} ({entry.accuracy.source}).")
    return notes


def _record(name: str, entry: "Entry") -> dict[str, Any]:
    printed, accuracy = entry.printed, entry.accuracy
    return {
        "name": name,
        "year": entry.paper.year,
        "paper": entry.paper._asdict(),
        "idea": entry.idea,
        "input": [entry.channels, entry.resolution, entry.resolution],
        "smallest": entry.smallest,
        "num_classes": entry.num_classes,
        "arguments": {"fixed": dict(entry.fixed), "open": list(entry.arguments)},
        "params": entry.params,
        "macs": entry.macs,
        "counted_by": f"convwise cost {name}",
        "printed": printed and printed._asdict(),
        "difference": entry.difference,
        "published": accuracy and accuracy._asdict(),
    }

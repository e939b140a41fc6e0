"""`convwise networks`."""

import textwrap
from itertools import groupby
from typing import TYPE_CHECKING, Any

from .output import Json, print_json, say

if TYPE_CHECKING:
    from ..networks.casebook import Entry

WIDTH = 120


def networks(json: Json = False) -> None:
    """List the casebook: every network, what its paper prints and what is counted here."""
    from .. import networks as casebook
    from ..networks.casebook import shared

    entries = {name: casebook.describe(name) for name in casebook.names()}
    if json:
        print_json({"networks": [_record(name, entry) for name, entry in entries.items()]})
        return
    width = max(map(len, entries))
    for paper, group in groupby(entries.items(), key=lambda item: item[1].paper):
        say(f"{paper.year}  {paper.title}")
        say(f"      {paper.authors}, {paper.venue}, {paper.url}")
        same = dict(group)
        _table(same, width)
        for note in shared({name: [f"idea: {entry.idea}.", *entry.notes()] for name, entry in same.items()}):
            for line in textwrap.wrap(note, WIDTH, initial_indent="    ", subsequent_indent="      "):
                say(line)
        say()
    say("params and MACs are of one image at the input shown, as counted here: convolutions and matrix products;")
    say("`printed` is what the publication says, and a top-1 with * is of another form, told below its table.")
    say("convwise cost NETWORK shows where they are; --json has the published weights of each network too.")


def _table(entries: "dict[str, Entry]", width: int) -> None:
    rows = [("", "input", "params", "printed", "MACs", "printed", "top-1")]
    for name, entry in entries.items():
        size = f"{entry.resolution}x{entry.resolution}x{entry.channels}"
        params, macs = (entry.printed.params, entry.printed.macs) if entry.printed else (None, None)
        top1 = entry.accuracy.percent() if entry.accuracy else "-"
        rows.append((name, size, f"{entry.params:,}", params or "-", f"{entry.macs:,}", macs or "-", top1))
    widths = [width, *(max(len(row[i]) for row in rows) for i in range(1, len(rows[0])))]
    for name, *cells in rows:
        say(f"  {name:{width}}" + "".join(f"  {cell:>{w}}" for cell, w in zip(cells, widths[1:], strict=True)))


def _record(name: str, entry: "Entry") -> dict[str, Any]:
    from .. import weights

    printed, accuracy = entry.printed, entry.accuracy
    counts = dict(zip(("params_count", "macs_count"), printed.counts(), strict=True)) if printed else {}
    return {
        "name": name,
        "year": entry.paper.year,
        "paper": entry.paper._asdict(),
        "idea": entry.idea,
        "input_shape": [entry.channels, entry.resolution, entry.resolution],
        "smallest": entry.smallest,
        "num_classes": entry.num_classes,
        "arguments": {"fixed": dict(entry.fixed), "open": list(entry.arguments)},
        "params": entry.params,
        "macs": entry.macs,
        "counted_by": f"convwise cost {name}",
        "printed": printed and printed._asdict() | counts,
        "difference": entry.difference,
        "published": accuracy and accuracy._asdict(),
        "weights": [published.to_json() for published in weights.all_published(name)],
    }

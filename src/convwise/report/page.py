"""The one-file HTML page of a run: a record of what happened in, a page that one can send to a colleague out.

The page needs no network, no script and no other file. Every string of the record may come from a hostile folder:
the template escapes all of them, and control characters, bidi controls and lone surrogates are shown as escapes.
"""

import functools
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..metrics import FEW_IMAGES
from . import templates, words
from .record import Report

if TYPE_CHECKING:
    import jinja2


class Confused(NamedTuple):
    """`n` images of class `true` taken for `predicted`: `share` of that class's images."""

    true: str
    predicted: str
    n: int
    share: float


def render(report: Report) -> str:
    """Build the page."""
    counts = [sum(row) for row in report.confusion]
    return _template().render(
        report=report,
        few_images=FEW_IMAGES,
        right=sum(row[k] for k, row in enumerate(report.confusion)),
        most_common=max(range(len(counts)), key=counts.__getitem__),
        counts=counts,
        confused=_confused(report),
        worst_first=sorted(report.per_class, key=lambda row: (math.isnan(row.f1.value), row.f1.value)),
        surest_first=sorted(report.mistakes, key=lambda row: -row.prob_predicted),
    )


def write(report: Report, path: Path) -> None:
    """Write the page aside, then rename it to `path`: a reader sees the old page or the whole new one."""
    page = render(report).encode("utf-8", "backslashreplace")
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        aside.write_bytes(page)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def _confused(report: Report) -> list[Confused]:
    """Every pair of classes that was confused, the most frequent first."""
    pairs = [
        Confused(true, predicted, n, n / sum(row))
        for true, row in zip(report.classes, report.confusion, strict=True)
        for predicted, n in zip(report.classes, row, strict=True)
        if n and predicted != true
    ]
    return sorted(pairs, key=lambda pair: (-pair.n, -pair.share))


@functools.cache
def _template() -> "jinja2.Template":
    environment = templates.environment(words.visible)
    environment.filters |= {
        "careful_percent": words.careful_percent,
        "data_uri": words.data_uri,
        "decimal": words.decimal,
        "duration": words.duration,
        "milliseconds": words.milliseconds,
        "multiple": words.multiple,
        "percent": words.percent,
        "plural": words.plural,
        "prose": words.prose,
        "quantity": words.quantity,
        "signed": words.signed,
    }
    return environment.get_template("page.html.jinja")

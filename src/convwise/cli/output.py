"""What the commands print: results on stdout, progress on stderr."""

import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

if TYPE_CHECKING:
    from ..progress import Track

T = TypeVar("T")

Quiet = Annotated[bool, typer.Option("--quiet", help="No progress.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Threads = Annotated[int | None, typer.Option(metavar="N", help="Images at once; one a processor by default.")]


def thread_count(threads: int | None) -> int:
    """How many images are worked on at once.

    Raises:
        UsageError: fewer than one was asked for, or more than any machine has use for.
    """
    from ..data.threads import check_threads, usable_cpus

    check_threads(threads)
    return threads or usable_cpus()


def progress(quiet: bool) -> "Track":
    """How progress is shown: a bar on a terminal, a line now and then elsewhere, or not at all."""
    if quiet:
        from ..progress import silent

        return silent
    return _bar if sys.stderr.isatty() else _lines


def say(line: str = "") -> None:
    """Print one line of a result; names in it may hold anything, and stay on the line."""
    from ..data.text import visible

    typer.echo(visible(line))


def say_table(rows: Sequence[Sequence[str]], sides: str = "") -> None:
    """Print rows, the first of them the head; `sides` as of `aligned`."""
    for line in aligned(rows, sides):
        say(f"  {line}".rstrip())


def aligned(rows: Sequence[Sequence[str]], sides: str = "") -> list[str]:
    """Rows as lines with columns of one width.

    Args:
        rows: of as many cells each.
        sides: "<" or ">" for each column; without them the first goes to the left, the others to the right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = sides or f"<{'>' * (len(widths) - 1)}"
    return ["  ".join(f"{c:{s}{w}}" for c, s, w in zip(row, sides, widths, strict=True)) for row in rows]


def print_json(record: dict[str, Any]) -> None:
    """Print a result as one object; a number that does not exist is null."""
    typer.echo(json.dumps(_finite(record), indent=1))


def percent(share: float) -> str:
    """Print a share as per cent."""
    return f"{100 * share:.1f} %"


def interval(value: float, low: float, high: float) -> str:
    """Print a share with its interval."""
    return f"{percent(value)} (95 % interval {100 * low:.1f} to {100 * high:.1f} %)"


def short(name: str, most: int = 40) -> str:
    """A name for a table: nothing hostile, and no longer than `most` characters."""
    from ..data.text import visible

    name = visible(name)
    return name if len(name) <= most else f"{name[: most - 3]}..."


def cost_line(record: dict[str, Any]) -> str:
    """Print what a classifier costs."""
    params, macs = f"{record['params'] / 1e6:.2f} M params", f"{record['macs'] / 1e6:.1f} M MACs"
    return f"{params}, {macs}, {record['latency_ms']:.3g} ms an image"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and value != value else value


def _bar(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    from rich import progress
    from rich.console import Console

    columns = (
        progress.TextColumn("{task.description}"), progress.BarColumn(), progress.MofNCompleteColumn(),
        progress.TextColumn("{task.fields[rate]}"), progress.TextColumn("{task.fields[left]}"),
    )  # fmt: skip
    start = time.monotonic()
    with progress.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total, rate="", left="")
        for done, item in enumerate(items, 1):
            yield item
            rate = done / max(time.monotonic() - start, 1e-9)
            bar.update(task, completed=done, rate=_speed(item, rate), left=_left(item, (total - done) / rate))


def _lines(items: Iterable[T], total: int, what: str, every: float = 10.0) -> Iterator[T]:
    start = said = time.monotonic()
    sys.stderr.write(f"{what}: {total}\n")
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - said > every:
            said, rate = now, done / (now - start)
            left = _left(item, (total - done) / rate)
            sys.stderr.write(f"{what}: {done} of {total}, {_speed(item, rate)}, {left}\n")


def _left(item: object, seconds: float) -> str:
    """What is left of these seconds, or as far as an item's time limit lets it go where that is less."""
    limit = getattr(item, "seconds_left", None)
    left = seconds if limit is None else min(seconds, limit)
    return f"{left:.0f} s left" if left < 100 else f"{left // 60:.0f} min {left % 60:.0f} s left"


def _speed(item: object, rate: float) -> str:
    """What an item tells of the speed itself, as a training does, or items a second."""
    return str(getattr(item, "progress", "")) or f"{rate:.0f}/s"

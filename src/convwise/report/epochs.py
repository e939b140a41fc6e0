"""A training by epochs on the page: its recipe, and curves of what each epoch came to, drawn as text and lines."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

LEFT, RIGHT, TOP, BOTTOM = 44, 300, 24, 180  # of a panel of 320 x 220


class Training(NamedTuple):
    """A training by epochs of a candidate.

    Attributes:
        name, transfer: of the candidate, in words.
        recipe: as it would stand in a file.
        train_loss: of each epoch, nats; nan where there is none.
        nll, top1: of each epoch, on the images that chose: nats at the temperature that suits them, and a share.
        best: epoch that was kept, from 1.
    """

    name: str
    transfer: str
    recipe: str
    train_loss: tuple[float, ...]
    nll: tuple[float, ...]
    top1: tuple[float, ...]
    best: int

    @property
    def panels(self) -> tuple["Panel", "Panel"]:
        """Losses, and the share right."""
        losses = {"train loss": self.train_loss, "NLL of what chose": self.nll}
        most = max((value for values in losses.values() for value in values if math.isfinite(value)), default=1.0)
        return (
            Panel.of("nats", losses, math.ceil(10 * most) / 10 or 1.0, "{:.3g}", self.best),
            Panel.of(
                "right of what chose, %", {"top-1": [100 * share for share in self.top1]}, 100.0, "{:.0f}", self.best
            ),
        )


class Line(NamedTuple):
    """A curve: its name, and its points as "x,y x,y", those left out that are no number."""

    label: str
    points: str

    @property
    def dot(self) -> tuple[str, ...]:
        """Place of a point that is alone, which no line shows: x, y; empty where there are more, or none."""
        return tuple(self.points.split(",")) if self.points and " " not in self.points else ()


class Panel(NamedTuple):
    """A small diagram over the epochs.

    Attributes:
        title: with the unit.
        lines: the first is dashed where there are two.
        rows: height and text of each line across.
        columns: place and text of each epoch that is named.
        best: place of the epoch that was kept.
    """

    title: str
    lines: tuple[Line, ...]
    rows: tuple[tuple[float, str], ...]
    columns: tuple[tuple[float, str], ...]
    best: float

    @classmethod
    def of(cls, title: str, curves: Mapping[str, Sequence[float]], most: float, text: str, best: int) -> "Panel":
        """Lay it out, from 0 to `most`."""
        epochs = max(map(len, curves.values()))

        def x(epoch: int) -> float:
            return round(LEFT + (RIGHT - LEFT) * ((epoch - 1) / (epochs - 1) if epochs > 1 else 0.5), 1)

        def y(value: float) -> float:
            return round(BOTTOM - (BOTTOM - TOP) * value / most, 1)

        def points(values: Sequence[float]) -> str:
            finite = ((epoch, value) for epoch, value in enumerate(values, 1) if math.isfinite(value))
            return " ".join(f"{x(epoch)},{y(value)}" for epoch, value in finite)

        lines = tuple(Line(label, points(values)) for label, values in curves.items())
        rows = tuple((y(most * share), text.format(most * share)) for share in (0, 0.5, 1))
        return cls(title, lines, rows, tuple((x(epoch), str(epoch)) for epoch in sorted({1, epochs})), x(best))

"""What the tests of the page share: a report to change, and a reader of the page that is made of it."""

import html.parser
from typing import Any

from convwise import report
from convwise.metrics import Bin, Interval, Reliability, wilson
from convwise.report import ClassScores, Mistake, Report

NAN = float("nan")
NOTHING = Interval(NAN, NAN, NAN)
VOID = {"meta", "img", "br"}


class Page(html.parser.HTMLParser):
    """Tags, attributes and text of a page; every element that is opened must be closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []
        self.text = " ".join(" ".join(self.words).replace("\u00a0", " ").split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def trust(ece: float, by_chance: float, nll: float) -> Reliability:
    """Three bins: 4 images at 0.5, none, 180 at 0.98."""
    bins = (Bin(0.4, 0.6, 4, 0.5, wilson(2, 4)), Bin(0.6, 0.8, 0, NAN, wilson(0, 0)),
            Bin(0.8, 1.0, 180, 0.98, wilson(178, 180)))  # fmt: skip
    return Reliability(ece, by_chance, nll, bins)


def example(classes: tuple[str, ...] = ("ants", "bees"), right: int = 90, wrong: int = 2, **changes: Any) -> Report:
    """A report in which each class has `right` images right and `wrong` images taken for the next class."""
    k = len(classes)
    n = k * (right + wrong)
    confusion = [[right if i == j else wrong if j == (i + 1) % k else 0 for j in range(k)] for i in range(k)]
    top1 = Interval(right / (right + wrong), 0.94, 0.99)
    fields: dict[str, Any] = {
        "title": "photos",
        "command": "convwise fit photos/ --out runs/1",
        "data": "photos",
        "created": "2026-01-31",
        "version": "0.1.0",
        "machine": "Linux, 2 cores",
        "seconds": 41.2,
        "classes": classes,
        "splits": (
            report.Split("train", "fits the weights", 4 * n, (4 * n // k,) * k),
            report.Split("test", "measured once, chose nothing", n, (n // k,) * k),
        ),
        "measured": report.Measured("test", n, top1, top1, top1, Interval(0.123, 0.1, 0.15)),
        "per_class": tuple(ClassScores(label, right + wrong, top1, top1, top1) for label in classes),
        "confusion": tuple(map(tuple, confusion)),
        "mistakes": (Mistake("test/ants/1.jpg", classes[0], classes[1], 0.98, 0.01, b"\xff\xd8jpeg"),),
        "candidates": (
            report.Candidate("lite0", "head", 224, "Best by `top1`.", top1, 385_200_000, 3_400_000, True, 9.0),
            report.Candidate("resnet50", "head", 224, "Out of time.", None, 4_089_000_000, 23_500_000, False, 0.0),
        ),
        "cost": report.Cost(3_400_000, 385_200_000, 13_600_000, 6.712, 8.9, 200, 2, "CPU"),
        "ensemble": report.Ensemble(
            (
                report.Together("A", top1, None, 1.0, 1.0, ""),
                report.Together("A + B", top1, Interval(0.014, -0.002, 0.03), 2.0, 1.97, "not worth it on this"),
            ),
            (("A", "classifier"), ("B", "members/2")),
            0.957,
            0.962,
            80.0,
        ),
        "doubts": report.Doubts(
            500, 30, (report.Doubt("train/ants/2.jpg", "train", "ants", "bees", 0.004, 0.99, 1.0, b"\xff\xd8jpeg"),)
        ),
        "copies": report.Copies(
            3,
            1,
            "test",
            (
                report.Copy(
                    report.Side("train/ants/3.jpg", "train", "ants", b"\xff\xd8jpeg"),
                    report.Side("test/ants/4.jpg", "test", "ants", None),
                    0.923,
                    "in two splits",
                ),
            ),
        ),
        "next_steps": (report.NextStep("Classify new images:", "convwise predict runs/1 new/"),),
        "cross_validation": report.CrossValidation(top1, "It chose the L2 strength, so it is not the estimate."),
        "calibration": report.Calibration(
            1.31, "5-fold cross-validation inside `train`", 400, trust(0.08, 0.05, 0.2), trust(0.03, 0.05, 0.15)
        ),
        "skipped": (report.Skipped("train/broken.jpg", "truncated"),),
        "ignored": {"hidden": 3},
        "notes": ("12 images of `test` are also in `train`",),
    }
    return Report(**fields | changes)


def read(record: Report) -> Page:
    return Page(report.render(record))

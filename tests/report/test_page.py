import dataclasses
import html.parser
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from convwise import report
from convwise.metrics import Bin, Interval, Reliability, wilson
from convwise.report import ClassScores, Mistake, Report

NAN = float("nan")
NOTHING = Interval(NAN, NAN, NAN)
HOSTILE = "<img src=x onerror=alert(1)>\"'&{{ 7 * 7 }}`"
SECTIONS = [
    "figures", "next", "confusion", "mistakes", "labels", "copies", "classes", "calibration", "data", "choice",
    "members", "cost", "reproduce",
]  # fmt: skip
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


def test_a_page_has_every_section_in_order() -> None:
    assert [section["id"] for section in read(example()).named("section")] == SECTIONS


def test_the_page_says_what_was_measured_in_words() -> None:
    text = read(example()).text
    for sentence in [
        "97.8 % of images classified right",
        "lite0 , head, at 224 px. On 184 images of test (measured once, chose nothing).",
        "The 95 % interval runs from 94.0 to 99.0 %.",
        "always answering ants , the most common class here, would be right on 50.0 %",
        "180 images right of 184",
        "4 images of 184 were classified wrong; here is 1, the surest first.",
        "12 images of test are also in train",
        "1 file could not be used: File Reason train/broken.jpg truncated",
        "Ignored: 3 files (hidden).",
        "lite0 \u2713 chosen head, 224 px. Best by top1 . 97.8 % 94.0 to 99.0 % 385.2 M 3.4 M 9.0 s",
        "not measured 4.1 G 23.5 M",
        "Top-1 97.8 % (94.0 to 99.0 %). It chose the L2 strength, so it is not the estimate.",
        "6.71 ms median, 8.90 ms p95 (200 runs, 2 threads, CPU)",
        "385.2 M MACs",
        "30 labels of 500 are wrong with a probability of a sixth or more, as judged by layers that had not seen them;",
        "labelled ants 0.4 % rather bees ? 99.0 % 99.9 % likely wrong; train , train/ants/2.jpg",
        "3 pairs of images show nearly the same, by their features; near_duplicates.csv has all.",
        "1 image of test has its like in another split : what is measured on it flatters the classifier.",
        "no picture in two splits cosine 0.92 ants , train : train/ants/3.jpg ants , test : test/ants/4.jpg",
        "13.6 MB",
        "convwise fit photos/ --out runs/1",
        "2026-01-31, in 41 s",
    ]:
        assert sentence in text


def test_the_corner_of_the_confusion_picture_names_both_ways() -> None:
    assert "answer \u2192 true class \u2193 ants" in read(example()).text


def test_the_heading_of_a_column_is_not_broken_within_a_word() -> None:
    """With `anywhere` the column may become as narrow as a letter; with `break-word` as the longest word."""
    (rule,) = re.findall(r"\.confusion thead th \{(.*?)\}", report.render(example()))
    assert "overflow-wrap: break-word;" in rule


def test_the_page_says_how_far_the_probabilities_can_be_trusted() -> None:
    text = read(example()).text
    for sentence in [
        "Calibration error (ECE) 8.0 % 3.0 % Log loss (NLL) 0.200 0.150",
        "The network was too sure of its answers: its logits are divided by 1.310.",
        "fitted on 400 images (5-fold cross-validation inside train ), never on those measured here.",
        "chance alone would leave an error of up to 5.0 % on so many images: these show no fault.",
    ]:
        assert sentence in text
    assert "little can be said of it" not in text
    assert "little can be said of it" in read(example(right=9, wrong=1)).text


@pytest.mark.parametrize(
    ("temperature", "words"), [(0.8, "less sure of its answers than it might be"), (1.04, "next to no correction")]
)
def test_a_temperature_has_its_words(temperature: float, words: str) -> None:
    calibration = example().calibration
    assert calibration
    assert words in read(example(calibration=calibration._replace(temperature=temperature))).text


def test_an_error_above_what_chance_leaves_is_a_warning() -> None:
    bad = report.Calibration(1.0, "`val`", 20, trust(0.2, 0.05, 1), trust(0.2, 0.05, 1))
    text = read(example(calibration=bad)).text
    assert "Take the probabilities with care: if they were true, chance would leave an error of at most 5.0 %" in text
    assert "these show no fault" not in text


def test_the_picture_of_the_probabilities_has_a_dot_for_each_bin_with_images() -> None:
    page = read(example())
    dots = [(c["class"], c["cx"], c["cy"]) for c in page.named("circle")]
    # x = 46 + 360 p, y = 250 - 240 r: 0.5 and 2 of 4; 0.98 and 178 of 180
    places = [("226.0", "130.0"), ("398.8", "12.7")]
    assert dots == [(name, *place) for name in ("before", "after") for place in places]
    assert [(r["x"], r["height"]) for r in page.named("rect")] == [("190.0", "0.8"), ("334.0", "38.0")]


def test_a_record_without_calibration_has_no_such_section() -> None:
    assert "calibration" not in [section["id"] for section in read(example(calibration=None)).named("section")]


def test_what_several_seeds_gain_together_is_told_with_its_price() -> None:
    text = read(example()).text
    section = text[text.index("What several together would gain") : text.index("What it costs")]
    assert "trained from 2 seeds" in section
    assert "B is in members/2 . Alone they are right on 95.7 to 96.2 %. Training all but A took 80 s." in section
    assert "A + B not worth it on this 97.8 % 94.0 to 99.0 % +1.4 \N{MINUS SIGN}0.2 to +3.0 x 2 x 1.97" in section
    assert "members" not in [part["id"] for part in read(example(ensemble=None)).named("section")]


def test_few_images_bring_a_caveat_and_many_do_not() -> None:
    assert "Few images. One image more or less moves this figure by 5.0 points" in read(example(right=9, wrong=1)).text
    assert "Few images" not in read(example()).text


def test_a_result_no_better_than_the_most_common_class_is_called_so() -> None:
    measured = example().measured._replace(top1=Interval(0.55, 0.48, 0.62))
    assert "this result is not clearly better than that" in read(example(measured=measured)).text
    assert "not clearly better" not in read(example()).text


def test_the_page_needs_nothing_from_outside() -> None:
    text = re.sub(r"data:image/jpeg;base64,[\w+/=]+", "", report.render(example()))
    assert "//" not in text
    assert "url(" not in text
    assert "@import" not in text
    page = read(example())
    assert not {"script", "link", "iframe", "base", "form"} & {tag for tag, _ in page.tags}
    assert [a["href"] for a in page.named("a")] == ["#data"]
    assert all((image["src"] or "").startswith("data:image/jpeg;base64,") for image in page.named("img"))


@pytest.mark.parametrize("extra_classes", [0, 30])
def test_hostile_names_are_inert_everywhere(extra_classes: int) -> None:
    classes = (HOSTILE, 'x" onclick="alert(1)', *(f"{HOSTILE}{k}" for k in range(extra_classes)))
    plain = example()
    record = example(
        classes,
        title=HOSTILE,
        command=HOSTILE,
        data=HOSTILE,
        created=HOSTILE,
        version=HOSTILE,
        machine=HOSTILE,
        splits=tuple(report.Split(HOSTILE, HOSTILE, 9, (1,) * len(classes)) for _ in range(2)),
        measured=plain.measured._replace(split=HOSTILE),
        mistakes=(Mistake(HOSTILE, HOSTILE, HOSTILE, 0.9, 0.1, b"jpeg", b"heat"),),
        doubts=report.Doubts(2, 1, (report.Doubt(HOSTILE, HOSTILE, HOSTILE, HOSTILE, 0.1, 0.9, 0.9, b"jpeg"),)),
        copies=report.Copies(
            1, 1, HOSTILE, (report.Copy(*(report.Side(HOSTILE, HOSTILE, HOSTILE, b"jpeg"),) * 2, 0.9, HOSTILE),)
        ),
        candidates=(plain.candidates[0]._replace(name=HOSTILE, transfer=HOSTILE, how_chosen=HOSTILE),),
        cost=plain.cost._replace(device=HOSTILE),
        ensemble=report.Ensemble(
            (report.Together(HOSTILE, NOTHING, None, 1.0, 1.0, HOSTILE),), ((HOSTILE, HOSTILE),) * 2, 0.9, 0.9, 1.0
        ),
        next_steps=(report.NextStep(HOSTILE, HOSTILE),),
        cross_validation=report.CrossValidation(NOTHING, HOSTILE),
        skipped=(report.Skipped(HOSTILE, HOSTILE),),
        ignored={HOSTILE: 1},
        notes=(HOSTILE,),
    )
    page = read(record)
    assert len(page.named("img")) == 5
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert all(HOSTILE in (image["alt"] or "") for image in page.named("img"))
    assert page.text.count(HOSTILE) > 15
    assert "49" not in page.text


def test_control_and_bidi_characters_are_shown_as_escapes() -> None:
    path = "a\nb\x00\x1b[31m\u202egpj.exe\u2066\u200f\ud800"
    page = report.render(example(skipped=(report.Skipped(path, path),), notes=(path,), command=path))
    assert page.count(r"a\nb\x00\x1b[31m\u202egpj.exe\u2066\u200f\ud800") == 4
    assert not re.search("[\x00\x1b\u202e\u2066\u200f\ud800]", page)


def test_scripts_that_read_from_the_right_and_emoji_stay_as_they_are() -> None:
    page = report.render(example(("\u05e9\u05dc\u05d5\u05dd", "\U0001f469\u200d\U0001f33e")))
    assert "<bdi>\u05e9\u05dc\u05d5\u05dd</bdi>" in page
    assert "<bdi>\U0001f469\u200d\U0001f33e</bdi>" in page


def test_a_class_without_images_shows_dashes_and_comes_last() -> None:
    good = example().per_class[0]
    record = example(
        ("ants", "bees"),
        confusion=((0, 0), (2, 90)),
        per_class=(ClassScores("ants", 0, NOTHING, NOTHING, NOTHING), good._replace(label="bees")),
    )
    page = read(record)
    assert (
        "bees 92 97.8 % 94.0 to 99.0 % 97.8 % 94.0 to 99.0 % 97.8 % 94.0 to 99.0 % ants 0 \u2013 \u2013 \u2013"
        in page.text
    )
    assert "nan" not in report.render(record)


def test_the_weakest_class_comes_first() -> None:
    rows = tuple(
        row._replace(f1=Interval(f1, 0.1, 0.9)) for row, f1 in zip(example().per_class, (0.8, 0.3), strict=True)
    )
    text = read(example(per_class=rows)).text
    table = text[text.index("Class by class") : text.index("The data")]
    assert table.index("bees") < table.index("ants")


def test_the_confusion_picture_has_a_number_in_every_cell() -> None:
    page = read(example(("a", "b", "c"), right=8, wrong=1))
    kinds = [cell["class"] for cell in page.named("td") if cell.get("class") in ("right high", "wrong", "zero")]
    assert kinds == ["right high", "wrong", "zero", "zero", "right high", "wrong", "wrong", "zero", "right high"]
    assert "a 8 1 0 b 0 8 1 c 1 0 8" in page.text


def test_more_than_twenty_classes_give_the_confused_pairs_instead_of_a_grid() -> None:
    page = read(example(tuple(f"class{k}" for k in range(21)), right=8, wrong=2))
    assert not [table for table in page.named("table") if "confusion" in (table.get("class") or "")]
    assert "class0 class1 2 20.0 %" in page.text
    assert "The other 11 pairs" in page.text
    assert "No two of the 30 classes were confused." in read(example(tuple(map(str, range(30))), wrong=0)).text


def test_three_hundred_classes_make_a_page_of_reasonable_size() -> None:
    text = report.render(example(tuple(f"species number {k}" for k in range(300))))
    assert len(text) < 2e6
    assert "The other 290 classes" in Page(text).text
    assert "200 rarer pairs are in confusion.csv" in Page(text).text


def test_thousands_of_skipped_files_are_cut_short() -> None:
    skipped = tuple(report.Skipped(f"{k}.jpg", "truncated") for k in range(1200))
    page = read(example(skipped=skipped))
    assert "1,200 files could not be used" in page.text
    assert "200 more files are in samples.csv" in page.text
    assert "1100.jpg" not in page.text


def test_no_mistakes_give_a_sentence_instead_of_a_gallery() -> None:
    page = read(example(wrong=0, mistakes=(), doubts=None, copies=None))
    assert "There are none to show: all 180 images were classified right." in page.text
    assert page.named("figure") == []
    assert "4 images of 184 were classified wrong; predictions.csv has the list." in read(example(mistakes=())).text


def test_the_surest_mistake_comes_first_and_may_lack_a_picture() -> None:
    one, two = (
        Mistake(f"{name}.jpg", "ants", "bees", prob, 1 - prob, None) for name, prob in (("one", 0.6), ("two", 0.9))
    )
    text = read(example(mistakes=(one, two))).text
    assert text.index("two.jpg") < text.index("one.jpg")
    assert "no picture taken for bees 90.0 % labelled ants 10.0 %" in text


def test_a_mistake_shows_its_heat_beside_it() -> None:
    row = Mistake("one.jpg", "ants", "bees", 0.9, 0.1, b"\xff\xd8jpeg", b"\xff\xd8heat")
    page = read(example(mistakes=(row,)))
    assert [image["alt"] for image in page.named("img")][:2] == [
        "one.jpg: true class ants, predicted bees", "where in it bees was found",
    ]  # fmt: skip
    assert "Bright in the second picture is what spoke for the answer" in page.text
    assert "Bright in the second picture" not in read(example()).text


def test_labels_without_doubt_and_images_without_a_like_are_told() -> None:
    text = read(example(doubts=report.Doubts(12, 0, ()), copies=report.Copies(0, 0, "test", ()))).text
    assert "None of the 12 labels is doubtful." in text
    assert "No two images show nearly the same, by their features." in text


def test_without_features_the_page_has_nothing_on_labels_and_copies() -> None:
    sections = [section["id"] for section in read(example(doubts=None, copies=None)).named("section")]
    assert sections == [name for name in SECTIONS if name not in ("labels", "copies")]


def test_optional_parts_may_be_absent() -> None:
    record = example(cross_validation=None, skipped=(), ignored={}, notes=(), next_steps=())
    text = read(record).text
    assert "Every image file could be used." in text
    assert "Nothing is left to do." in text
    for part in ("Cross-validation inside train", "Ignored", "read them"):
        assert part not in text


def test_the_ink_reads_on_every_heat_of_the_confusion_picture() -> None:
    css = (Path(report.__file__).parent / "page.css").read_text()
    heats = [tuple(map(int, rgb)) for rgb in re.findall(r"--(?:right|wrong): (\d+), (\d+), (\d+);", css)]
    pages = [tuple(bytes.fromhex(code)) for code in re.findall(r"--page: #(\w{6});", css)]
    assert (len(heats), len(pages)) == (4, 2)

    def luminance(color: list[float]) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (c / 255 for c in color)]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for number, heat in enumerate(heats):
        light = number < 2
        for share in (k / 100 for k in range(12, 101)):
            cell = luminance([share * c + (1 - share) * p for c, p in zip(heat, pages[not light], strict=True)])
            ink_is_white = number == 0 if light and share > 0.74 else not light and share <= 0.74
            assert (1.05 / (cell + 0.05) if ink_is_white else (cell + 0.05) / 0.05) >= 4.4, (heat, share)


def test_write_makes_the_page_even_for_a_name_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("an old page")
    report.write(example(skipped=(report.Skipped("\udcff.jpg", "not an image"),)), path)
    assert r"\udcff.jpg" in path.read_text(encoding="utf-8")
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_nothing_aside(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.mkdir()
    with pytest.raises(OSError, match=r"report\.html"):
        report.write(example(), path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_report_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        example().title = "other"  # type: ignore[misc]


def test_headings_do_not_skip_a_level() -> None:
    levels = [int(tag[1]) for tag, _ in read(example()).tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))

"""The page as a file: it needs nothing, no name can break it, it reads well, and it is whole or not there."""

import dataclasses
import re
from itertools import pairwise
from pathlib import Path

import pytest

from convwise import report
from convwise.report import Mistake

from .pages import NOTHING, Page, example, read

HOSTILE = "<img src=x onerror=alert(1)>\"'&{{ 7 * 7 }}`"


def test_the_heading_of_a_column_is_not_broken_within_a_word() -> None:
    """With `anywhere` the column may become as narrow as a letter; with `break-word` as the longest word."""
    (rule,) = re.findall(r"\.confusion thead th \{(.*?)\}", report.render(example()))
    assert "overflow-wrap: break-word;" in rule


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

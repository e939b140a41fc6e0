import csv
import io
from pathlib import Path

import pytest

from convwise.data.text import counted, visible, write_csv, write_rows


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (counted(1, "image"), "1 image"), (counted(0, "image"), "0 images"), (counted(1200, "image"), "1,200 images"),
        (counted(1, "class", "classes"), "1 class"), (counted(2, "class", "classes"), "2 classes"),
    ],
)  # fmt: skip
def test_what_is_counted_agrees_with_its_number(found: str, expected: str) -> None:
    assert found == expected


def written(row: list[object]) -> list[list[str]]:
    """The row as a CSV reader gives it back."""
    file = io.StringIO(newline="")
    write_rows(file, [row])
    return list(csv.reader(io.StringIO(file.getvalue(), newline="")))


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_text_that_begins_like_a_formula_gets_an_apostrophe(start: str) -> None:
    shown = "\\r" if start == "\r" else start
    assert written([f"{start}HYPERLINK(1)", "x"]) == [[f"'{shown}HYPERLINK(1)", "x"]]


@pytest.mark.parametrize("cell", ["a=b", " =1", "cat", "a,b", 'say "x"', "two\nlines", "'quoted", "", "käfer"])
def test_other_text_stays_and_comes_back(cell: str) -> None:
    assert written([cell, "x"]) == [[cell, "x"]]


def test_a_carriage_return_does_not_break_the_row() -> None:
    assert written(["carriage\rreturn", "x"]) == [["carriage\\rreturn", "x"]]


def test_numbers_stay_and_none_is_empty() -> None:
    assert written([-1, -0.5, 3, None, True]) == [["-1", "-0.5", "3", "", "True"]]


def test_lines_end_alike_on_every_system() -> None:
    file = io.StringIO(newline="")
    write_rows(file, [[1], [2]])
    assert file.getvalue() == "1\n2\n"


def test_a_table_is_utf_8_whatever_the_names_are(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", ["path", "n"], [["b\udce4r.jpg", 1], ["bär.jpg", 2]])
    assert (tmp_path / "t.csv").read_bytes() == b"path,n\nb\\udce4r.jpg,1\nb\xc3\xa4r.jpg,2\n"


def test_a_header_is_guarded_too(tmp_path: Path) -> None:
    write_csv(tmp_path / "t.csv", ["=class"], [])
    assert (tmp_path / "t.csv").read_text() == "'=class\n"


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("a\nb", "a\\nb"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x00\x7f\x9b", "\\x00\\x7f\\x9b"),
        ("exe.\u202egpj", "exe.\\u202egpj"),
        ("\u2066x\u2069\u061c\u200e", "\\u2066x\\u2069\\u061c\\u200e"),
        ("\u2028\u2029", "\\u2028\\u2029"),
        ("\udcff", "\\udcff"),
        ("\ufeff\ufffe\uffff\ufff9", "\\ufeff\\ufffe\\uffff\\ufff9"),
    ],
)
def test_hostile_characters_are_shown_as_escapes(hostile: str, shown: str) -> None:
    assert visible(hostile) == shown
    shown.encode("utf-8")


@pytest.mark.parametrize(
    "text", ["plain", "Käfer 蝴蝶", "नमस्ते", "👩\u200d🔬", "\u0645\u06cc\u200c\u062e\u0648", "back\\slash"]
)
def test_scripts_and_emoji_stay(text: str) -> None:
    assert visible(text) == text

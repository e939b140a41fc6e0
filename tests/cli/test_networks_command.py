"""`convwise networks`: the whole casebook in columns that fit, or one network in full."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner

from convwise import weights
from convwise.cli import app
from convwise.cli.networks import networks as command
from convwise.errors import UsageError
from convwise.networks import describe, names

Ask = Callable[..., str]
each_network = pytest.mark.parametrize("name", names())


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Ask:
    """The text that the command prints; an empty COLUMNS counts as none, and there is no terminal."""

    def text(name: str | None = None, *, as_json: bool = False, columns: str = "") -> str:
        monkeypatch.setenv("COLUMNS", columns)
        command(name, as_json)
        return capsys.readouterr().out

    return text


def test_the_casebook_has_a_row_a_network_and_its_notes_behind_all_rows(ask: Ask) -> None:
    table, notes = ask().split("\nNotes\n")
    assert re.findall(r"^  (\w+) +\d+x\d+x\d+  ", table, re.MULTILINE) == list(names())
    assert re.search(r"^  resnet18 .* \*72\.12 %$", table, re.MULTILINE)
    assert re.search(r"^  mobilenet_v2 .* 72\.0 %$", table, re.MULTILINE)
    assert notes.count("its own resolution") == 2  # the B networks once, the Lite ones once
    assert all(describe(name).paper.url in notes for name in names())
    assert "connections are MACs" in notes
    assert "connections are MACs" not in table


def test_the_table_of_a_paper_is_headed_by_its_ideas_which_are_told_once(ask: Ask) -> None:
    text = ask()
    table, flat = text.split("\nNotes\n")[0], " ".join(text.split())
    for block in table.split("\n\n"):
        rows = re.findall(r"^  (\w+) +\d+x\d+x\d+  ", block, re.MULTILINE)
        head = " ".join(re.split(r"\n +input +params ", block)[0].split())
        assert all(describe(name).idea in head for name in rows), block
        for idea in {describe(name).idea for name in rows}:
            others = [name for name in rows if describe(name).idea == idea]
            assert others == rows or f"{', '.join(others)}: {idea}." in head
    assert all(flat.count(f"{describe(name).idea}.") == 1 for name in names())


def test_points_of_a_column_stand_below_one_another(ask: Ask) -> None:
    block = next(part for part in ask().split("\n\n") if "  vgg11_bn " in part)
    rows = [line for line in block.splitlines() if line.startswith("  vgg") and line.endswith(" %")]
    assert [row.split()[-2] for row in rows[:2]] == ["70.4", "70.370"]
    assert len({row.rindex(".") for row in rows}) == 1


def test_meanings_have_lines_of_their_own_where_there_is_no_room_beside(ask: Ask) -> None:
    lines = ask("lenet5", columns="40").splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("  in_channels "))
    assert lines[at + 1 : at + 3] == ["    channels of the image: 3 in colour,", "    1 in grey"]


@pytest.mark.parametrize(("columns", "most"), [("", 100), ("300", 100), ("60", 60)])
def test_text_that_can_be_broken_is_as_wide_as_the_terminal_and_at_most_100_columns(
    ask: Ask, columns: str, most: int
) -> None:
    table, notes = ask(columns=columns).split("\nNotes\n")
    rows = [line for line in table.splitlines() if line.startswith("  ")]
    assert max(map(len, rows)) <= 100
    broken = [line for line in notes.splitlines() if " " in line.strip() and line.startswith(" ")]
    assert most - 15 < max(map(len, broken)) <= most


@each_network
def test_one_network_is_told_in_full_and_no_wider(ask: Ask, name: str) -> None:
    entry, text = describe(name), ask(name)
    flat = " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 100
    assert entry.paper.title in flat
    assert flat.count(f"{entry.idea}.") == 1
    assert f"{entry.params:,}" in text
    assert f"{entry.macs:,}" in text
    for note in entry.notes():
        assert note in flat
    for key, argument in entry.arguments.items():
        row = rf"^  {key} +{argument.words()} +{re.escape(argument.usual())}  +{argument.meaning.split()[0]}"
        assert re.search(row, text, re.MULTILINE), key
        assert argument.meaning in flat
    assert "published weights of it" in text or "--weights ID" in text
    for published in weights.all_published(name):
        top1, side = f"{100 * published.top1:.2f} %", published.preprocessing.resolution
        assert re.search(rf"^  {published.id} +{top1} +{side}  {published.licence}", text, re.MULTILINE)


def test_weights_that_need_arguments_say_which(ask: Ask) -> None:
    assert re.search(r"^  torchvision/IMAGENET1K_V1 .*  v1_5=true$", ask("resnet50"), re.MULTILINE)
    assert "nobody has published weights of it" in ask("plain34").lower()


@each_network
def test_one_network_as_json_is_its_record_in_the_list(ask: Ask, name: str) -> None:
    found: dict[str, Any] = json.loads(ask(name, as_json=True))
    entry = describe(name)
    assert (found["name"], found["smallest"]) == (name, entry.smallest)
    assert found["published"] == (entry.accuracy and {"top1": entry.accuracy.top1, **entry.accuracy._asdict()})
    taken = {key: (value["default"], value["meaning"]) for key, value in found["arguments"]["open"].items()}
    assert taken == {key: (argument.default, argument.meaning) for key, argument in entry.arguments.items()}


def test_the_list_as_json_has_every_record(ask: Ask) -> None:
    found = json.loads(ask(as_json=True))["networks"]
    assert [record["name"] for record in found] == list(names())
    assert found[list(names()).index("resnet50")] == json.loads(ask("resnet50", as_json=True))
    assert {r["name"]: r["smallest"] for r in found if r["name"].startswith("lenet")} == {
        "lenet5_1998": 16, "lenet5": 12,  # ((16 - 4) / 2 - 4) / 2 = 1; with 2 pixels of padding 12
    }  # fmt: skip


def test_an_unknown_name_is_refused_with_the_nearest(ask: Ask) -> None:
    with pytest.raises(UsageError, match=r"lists, got 'resnet5O'; did you mean 'resnet56'"):
        ask("resnet5O")


def test_no_line_of_the_help_is_cut() -> None:
    text = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "80"}).output
    assert "networks  List the casebook, or show one network of it.\n" in text
    assert "..." not in text.partition("Commands:")[2]

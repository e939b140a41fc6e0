"""The tables and pictures in the documentation are those that the casebook gives."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from convwise import networks
from convwise.cli import app

ROOT = Path(__file__).parents[1]
MAKE = ROOT / "docs" / "make.py"
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = README.partition("## The commands")[2].partition("\n## ")[0]
PAGES = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "networks").glob("*.md")}


def test_tables_and_pictures_are_up_to_date() -> None:
    done = subprocess.run([sys.executable, MAKE, "--check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


@pytest.mark.parametrize(
    ("page", "first", "last"),
    [
        ("alexnet", "227 pixels where the paper prints 224", "averaged to 6 x 6 in front of the linear layers."),
        ("vgg", "Configurations A, B, D and E alone", "where the paper makes these convolutions."),
        ("lenet", "He initialisation for the paper's uniform one", "without its class for rubbish."),
        ("lenet", "deviates further: C1 pads by 2 for the smaller image", "ReLU by default."),
        ("resnet", "The paper does not say how the first pooling pads", "as published weights need it."),
        ("nin", "The paper prints neither channels nor kernels", "He initialisation."),
        ("inception", "Of `googlenet`: the paper prints no constants", "0.4 as probability of the dropout."),
        ("inception", "3x3 in place of 5x5 in the third branch", "eps 1e-3"),
        ("mobilenet", "MobileNet: the last depthwise layer has stride 1", "He initialisation."),
        ("mobilenet", "MobileNetV2: 17 bottlenecks as in Table 2", "He initialisation."),
        ("efficientnet", "Batch norm's running averages move by 0.1 a step", "He initialisation."),
    ],
)
def test_a_page_has_the_deviations_from_the_first_to_the_last(page: str, first: str, last: str) -> None:
    deviations = PAGES[page].partition("## Deviations")[2].partition("<!-- end -->")[0]
    assert first in deviations
    assert last in deviations.partition(first)[2]
    assert "Here: " not in deviations
    assert "`networks/" not in deviations


def test_a_top1_of_another_form_is_marked_in_every_table() -> None:
    pages = {"README.md": ("googlenet_bn", "resnet18"), "docs/networks/inception.md": ("googlenet_bn",),
             "docs/networks/resnet.md": ("resnet18",), "docs/networks/vgg.md": ()}  # fmt: skip
    for page, marked in pages.items():
        text = (ROOT / page).read_text(encoding="utf-8")
        rows = [line for line in text.splitlines() if line.startswith("| `")]
        assert tuple(row.split("`")[1] for row in rows if "\\*" in row) == marked, page
        assert ("\\* Published of another form than the one counted: " in text) is bool(marked), page


@pytest.mark.parametrize("name", networks.names())
def test_every_network_has_its_row_on_one_page_with_all_its_arguments(name: str) -> None:
    (page,) = (page for page, text in PAGES.items() if re.search(rf"^\| `{name}` \|", text, re.MULTILINE))
    head, _, rest = PAGES[page].partition("<!-- arguments: ")
    listed, _, table = rest.partition("<!-- end -->")[0].partition(" -->")
    assert listed == re.findall(r"<!-- numbers: (.*) -->", head)[0]
    for key, argument in networks.describe(name).arguments.items():
        row = f"| `{key}` | {argument.words()} | {argument.usual()} | {argument.meaning} | "
        (whose,) = (line.removeprefix(row) for line in table.splitlines() if line.startswith(row))
        assert whose == "all |" or f"`{name}`" in whose


def test_a_note_names_each_network_that_it_is_of() -> None:
    notes = [line for text in PAGES.values() for line in text.splitlines() if line.startswith("- `")]
    assert notes
    assert [note for note in notes if re.match(r"- [^:]*` to `", note)] == []


def test_the_number_of_names_in_the_readme_is_that_of_the_casebook() -> None:
    assert f"all {len(networks.names())} names" in README


COMMON = {"--json", "--quiet", "--threads", "--help"}  # told once, below the table


@pytest.mark.parametrize("command", get_command(app).commands)  # type: ignore[attr-defined]
def test_the_readme_names_every_option_of_a_command_and_no_other(command: str) -> None:
    parameters = get_command(app).commands[command].params  # type: ignore[attr-defined]
    options = {option for parameter in parameters for option in parameter.opts if option.startswith("--")}
    negations = {option for parameter in parameters for option in parameter.secondary_opts}
    (row,) = re.findall(rf"^\| `convwise {command}\b.*$", COMMANDS, re.MULTILINE)
    assert {*re.findall(r"--[a-z-]+", row)} - COMMON - negations == options - COMMON


@pytest.mark.parametrize("option", sorted(COMMON))
def test_options_of_many_commands_are_told_below_the_table(option: str) -> None:
    assert re.search(rf"^[^|]*`{option}\b", COMMANDS, re.MULTILINE)

"""`convwise conv`: every form is told in words, and so is why one is left out."""

import json
import re
from collections.abc import Callable

import pytest
from typer.testing import CliRunner

from convwise.cli import app
from convwise.cli.conv import conv

Ask = Callable[..., str]
PIXEL = "a kernel of one pixel does nothing but mix channels"
ALONE = "each filter sees one channel, so nothing is mixed"
ODD = "only an odd square kernel above 3x3, not grouped or dilated, sees as far as several"


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Ask:
    """The text that the command prints."""

    def text(size: str, kernel: int, *, stride: int = 1, bottleneck: int | None = None, as_json: bool = False) -> str:
        conv(size, 64, kernel, stride, "same", bottleneck, False, as_json)
        return capsys.readouterr().out

    return text


@pytest.mark.parametrize(
    ("size", "kernel", "bottleneck", "left_out"),
    [
        ("28x28x64", 5, None, {}),
        ("28x28x64", 3, None, {"several 3x3": ODD}),
        ("28x28x64", 4, None, {"several 3x3": ODD}),
        ("28x28x3", 5, None, {"1x1 bottleneck first": "a quarter of 3 channels is less than one"}),
        ("28x28x3", 5, 2, {}),
        ("28x28x64", 1, None, dict.fromkeys(("1x1 bottleneck first", "depthwise-separable", "several 3x3"), PIXEL)),
        ("28x28x64", 1, 8, dict.fromkeys(("depthwise-separable", "several 3x3"), PIXEL)),
        ("28x28x1", 5, None, dict.fromkeys(("1x1 bottleneck first", "depthwise-separable", "several 3x3"), ALONE)),
    ],
)
def test_a_form_that_is_left_out_says_why(
    ask: Ask, size: str, kernel: int, bottleneck: int | None, left_out: dict[str, str]
) -> None:
    found = json.loads(ask(size, kernel, bottleneck=bottleneck, as_json=True))
    assert found["unfit"] == left_out
    kinds = ["plain", "1x1 bottleneck first", "depthwise-separable", "several 3x3"]
    assert [a["kind"] for a in found["alternatives"]] == [kind for kind in kinds if kind not in left_out]
    assert len(found["alternatives"]) + len(left_out) == 4  # plain and three others
    lines = re.findall(r"^  left out: (.*?): (.*)$", ask(size, kernel, bottleneck=bottleneck), re.MULTILINE)
    assert {name: reason for names, reason in lines for name in names.split(", ")} == left_out
    assert len(lines) == len(set(left_out.values()))


def test_the_layers_of_each_form_are_told_with_the_one_that_carries_the_stride(ask: Ask) -> None:
    text = ask("224x224x3", 7, stride=2, bottleneck=2)
    assert re.findall(r"^  layers  (.*)$", text, re.MULTILINE) == [
        "7x7, 3 to 64 channels, stride 2",
        "1x1, 3 to 2 channels; 7x7, 2 to 64 channels, stride 2",
        "7x7, 3 to 3 channels, in 3 groups, stride 2; 1x1, 3 to 64 channels",
        "3x3, 3 to 64 channels; 3x3, 64 to 64 channels; 3x3, 64 to 64 channels, stride 2",
    ]


@pytest.mark.parametrize(("kernel", "name"), [(5, "two 3x3"), (11, "five 3x3"), (31, "15 layers of 3x3")])
def test_several_3x3_are_counted_in_words(ask: Ask, kernel: int, name: str) -> None:
    assert f"\n{name}\n  layers" in ask("28x28x64", kernel)


def test_sizes_are_named_so_that_channels_in_front_are_seen(ask: Ask) -> None:
    text = ask("3x224x224", 3)
    assert text.startswith("in   height 3, width 224, channels 224, one image\nout  height 3, width 224, channels 64\n")


def test_the_help_says_that_the_quarter_is_a_default() -> None:
    text = " ".join(CliRunner().invoke(app, ["conv", "--help"]).output.split())
    assert "a quarter of the input's by default." in text

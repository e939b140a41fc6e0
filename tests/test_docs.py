"""The tables and pictures in the documentation are those that the casebook gives."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAKE = ROOT / "docs" / "make.py"


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
        ("mobilenet", "`networks/mobilenet_v1.py`: the last depthwise layer has stride 1", "He initialisation."),
        ("mobilenet", "`networks/mobilenet_v2.py`: 17 bottlenecks as in Table 2", "He initialisation."),
        ("efficientnet", "Batch norm's running averages move by 0.1 a step", "He initialisation."),
    ],
)
def test_a_page_has_the_deviations_from_the_first_to_the_last(page: str, first: str, last: str) -> None:
    text = (ROOT / "docs" / "networks" / f"{page}.md").read_text(encoding="utf-8")
    deviations = text.partition("## Deviations")[2].partition("<!-- end -->")[0]
    assert first in deviations
    assert last in deviations.partition(first)[2]
    assert "Here: " not in deviations


def test_a_top1_of_another_form_is_marked_in_every_table() -> None:
    pages = {"README.md": ("googlenet_bn", "resnet18"), "docs/networks/inception.md": ("googlenet_bn",),
             "docs/networks/resnet.md": ("resnet18",), "docs/networks/vgg.md": ()}  # fmt: skip
    for page, marked in pages.items():
        text = (ROOT / page).read_text(encoding="utf-8")
        rows = [line for line in text.splitlines() if line.startswith("| `")]
        assert tuple(row.split("`")[1] for row in rows if "\\*" in row) == marked, page
        assert ("\\* Published of another form than the one counted: " in text) is bool(marked), page

"""docs/cost.md says what the code does."""

import doctest
import re
from pathlib import Path

from convwise import networks

PAGE = Path(__file__).parents[2] / "docs" / "cost.md"


def test_the_example_runs() -> None:
    failed, tried = doctest.testfile(str(PAGE), module_relative=False)
    assert (failed, tried) == (0, 6)


def test_the_table_has_the_macs_of_the_casebook() -> None:
    rows = re.findall(
        r"^\| (AlexNet|VGG-16|GoogLeNet|ResNet-50|MobileNetV2) \| ([\d,]+) \|", PAGE.read_text(), re.MULTILINE
    )
    names = {"AlexNet": "alexnet", "VGG-16": "vgg16", "GoogLeNet": "googlenet", "ResNet-50": "resnet50"}
    names["MobileNetV2"] = "mobilenet_v2"
    assert {title: int(macs.replace(",", "")) for title, macs in rows} == {
        title: networks.describe(name).macs for title, name in names.items()
    }

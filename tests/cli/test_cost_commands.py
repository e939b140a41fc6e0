"""`convwise networks`, `cost` and `conv`."""

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from convwise import networks
from convwise.cli.subject import find_subject
from convwise.errors import DataError, UsageError

from .harness import Convwise


def test_the_casebook_is_printed_with_every_number_and_its_source(convwise: Convwise) -> None:
    found = convwise("networks", "--json").ends(0).json["networks"]
    assert [row["name"] for row in found] == list(networks.names())
    vgg16 = next(row for row in found if row["name"] == "vgg16")
    assert (vgg16["params"], vgg16["macs"], vgg16["year"]) == (138_357_544, 15_470_264_320, 2015)
    assert vgg16["printed"]["params"] == "138 M"
    assert "Table 2" in vgg16["printed"]["source"]
    assert vgg16["published"]["top1"] == pytest.approx(0.752)  # 24.8 % error, VGG paper, table 4
    assert "256, 384 and 512" in vgg16["published"]["protocol"]
    (weights,) = vgg16["weights"]
    assert (weights["id"], weights["sha256"]) == ("torchvision/IMAGENET1K_V1", "397923af")
    assert vgg16["input_shape"] == [3, 224, 224]
    assert (vgg16["printed"]["params_count"], vgg16["printed"]["macs_count"]) == (138_000_000, 15_300_000_000)
    forms = {row["name"]: row["published"]["form"] for row in found if row["published"] and row["published"]["form"]}
    assert list(forms) == ["googlenet_bn", "resnet18"]


def test_cost_by_stage_sums_to_the_casebook(convwise: Convwise) -> None:
    found = convwise("cost", "googlenet", "--argument", "aux=true", "--json").ends(0).json
    assert (found["params"], found["idle_params"], found["macs"]) == (6_998_552, 6_379_728, 1_582_671_872)
    assert [stage["name"] for stage in found["stages"]] == ["stem", "stage1", "stage2", "stage3", "stage4", "head"]
    assert sum(stage["macs"] for stage in found["stages"]) == found["macs"]
    assert sum(layer["params"] for layer in found["layers"]) == found["params"]
    assert {row["operator"] for row in found["uncounted"]} >= {"aten.relu", "aten.cat"}


def test_cost_takes_arguments_classes_and_resolution(convwise: Convwise) -> None:
    command = ("cost", "mobilenet_v2", "--argument", "width=0.5", "--resolution", "160", "--json")
    found = convwise(*command).ends(0).json
    assert found["macs"] == 50_184_000  # 50.2 M in the authors' grid
    asked = {"network": "mobilenet_v2", "path": None, "arguments": {"width": 0.5}, "num_classes": 1000}
    assert {key: found[key] for key in asked} == asked
    text = convwise("cost", "resnet20", "--num-classes", "7", "--by", "layer").ends(0).out
    assert text.startswith("resnet20, 7 classes, input 32x32x3, one image ")
    assert re.search(r"head\.3 +7 +455 +448 ", text)  # 64 x 7 weights and 7 biases
    assert "params              269,527 " in text  # 269,722 with ten classes


def test_cost_of_a_run_is_that_of_its_network(convwise: Convwise, run: Path) -> None:
    found = convwise("cost", run, "--json").ends(0).json
    saved = json.loads((run / "classifier" / "classifier.json").read_text())
    assert {key: found[key] for key in saved["cost"]} == saved["cost"]
    assert (found["path"], found["num_classes"]) == (str(run), 2)
    assert found["network"] in networks.names()
    assert convwise("cost", run).ends(0).out.startswith(f"{run}: {found['network']}, ")


def test_the_columns_of_layers_and_of_stages_add_up_to_the_totals(convwise: Convwise) -> None:
    for by in ("stage", "layer"):
        text = convwise("cost", "alexnet", "--by", by).ends(0).out
        head, *rows = text.split("\n\n")[1].splitlines()
        assert head.split() == [by, "output", "params", "MACs", "share", "activation", "bytes", "MACs/byte"]
        costs = [[int(n.replace(",", "")) for n in re.findall(r"(?<= )[\d,]+(?= |$)", row)][-3:] for row in rows]
        # facts, section 1
        assert [sum(column) for column in zip(*costs, strict=True)][:2] == [60_965_224, 724_406_816]
        assert f"{sum(row[2] for row in costs) / 1e6:.1f} MB written in all" in text
        assert len({len(row) for row in rows}) == 1  # every column ends where the others end
    assert re.search(r"^  \d+ norms, pools and others  +0  +0  +0\.0 %  +[\d,]+  +0\.00$", text, re.MULTILINE)


def test_operators_have_the_names_of_the_field(convwise: Convwise) -> None:
    text = convwise("cost", "resnet18").ends(0).out
    assert "not in the MACs     batch norm (20), ReLU (17), add (8), max pool (1), mean (1)\n" in text


def test_cost_measured_drawn_and_advised(convwise: Convwise) -> None:
    found = convwise("cost", "lenet5", "--measure", "--advise", "--picture", "lenet.svg", "--json").ends(0).json
    assert list(found["latency"]) == ["total", "stage1", "stage2", "head"]
    assert all(0 < row["latency_ms"] <= row["latency_p95_ms"] and row["n"] == 20 for row in found["latency"].values())
    dense = next(row for row in found["advice"] if row["layer"] == "head.1")
    pooled = next(s for s in dense["substitutions"] if s["name"] == "global average pooling first")
    assert pooled["params_saved"] == (400 - 16) * 120
    assert pooled["ratio"] == pytest.approx(16 / 400)
    everywhere = next(row for row in found["rewritten"] if row["kind"] == "global average pooling first")
    assert everywhere["params"] == found["params"] - pooled["params_saved"]
    assert ET.parse(convwise.cwd / "lenet.svg").getroot().tag.endswith("svg")
    text = convwise("cost", "lenet5", "--advise").ends(0).out
    assert text.count("none of the papers' substitutions saves MACs") == 1
    assert re.search(r"^    global average pooling first +46,080 +46,080 +0\.040$", text, re.MULTILINE)  # 384 x 120
    assert re.search(r"^  everywhere it saves +layers +saves MACs +saves params +ratio$", text, re.MULTILINE)


def test_a_picture_that_is_there_is_replaced_only_when_asked(convwise: Convwise) -> None:
    file = convwise.cwd / "keep.svg"
    file.write_text("important")
    command = ("cost", "lenet5", "--picture", "keep.svg")
    said = "--picture 'keep.svg' exists already; give --overwrite to replace it, or another file"
    assert convwise(*command).ends(2).message == said
    assert file.read_text() == "important"
    assert convwise(*command, "--overwrite").ends(0).out.endswith("drawn in keep.svg\n")
    assert "lenet5, 10 classes" in file.read_text()
    assert [path.name for path in convwise.cwd.iterdir()] == ["keep.svg"]


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (
            ("cost", "resnet5O"),
            2,
            "network must be one of the 54 that `convwise networks` lists, got 'resnet5O'; did you",
        ),
        (("cost", "lenet5", "--by", "block"), 2, "by must be one of stage, layer, got 'block'"),
        (("cost", "lenet5", "--threads", "2"), 2, "threads has no effect without --measure; leave it out, or add"),
        (("cost", "lenet5", "--threads", "0", "--measure"), 2, "threads must be above 0, got 0"),
        (("cost", "lenet5", "--threads", "100000", "--measure"), 2, "threads must be at most 256, got 100000"),
        (("cost", "lenet5", "--by", "layer", "--json"), 2, "by has no effect with --json, which has both"),
        (
            ("cost", "efficientnet", "--argument", "phi=abc"),
            2,
            "phi of efficientnet must be a number",
        ),
        (("cost", "runs/9"), 3, "there is no folder 'runs/9'; give a run, a name of `convwise networks`"),
        (
            ("cost", "vgg16", "--measure", "--resolution", "20000"),
            6,
            "measuring vgg16, 1,000 classes at 20000 px needs",
        ),
        (("cost", "lenet5", "--overwrite"), 2, "overwrite has no effect without --picture; leave it out, or add"),
        (("cost", "lenet5", "--picture", "lenet.png"), 2, "picture must end in .svg, got 'lenet.png'"),
        (("cost", "lenet5", "--picture", "no/such.svg"), 2, "--picture 'no/such.svg' cannot be written: there is no"),
        (
            ("conv", "--input", "28x28", "--filters", "3", "--kernel", "5"),
            2,
            "input must be height, width and channels",
        ),
        (("conv", "--input", "4x4x3", "--filters", "3", "--kernel", "5", "--padding", "valid"), 2, "kernel"),
        (
            ("conv", "--input", "28x28x8", "--filters", "0", "--kernel", "5"),
            2,
            "filters of a convolution must be at least 1",
        ),
        (
            ("conv", "--input", "28x28x8", "--filters", "3", "--kernel", "3", "--padding", "full"),
            2,
            "padding must be one of",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_used_is_said_in_one_line(
    convwise: Convwise, arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    assert sentence in convwise(*arguments).ends(code).message


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"name": "lenet5", "arguments": ["resolution"]}, "argument must be NAME=VALUE, got 'resolution'"),
        ({"name": "vgg16", "resolution": 31}, "resolution of vgg16 must be at least 32 pixels, got 31"),
        ({"name": "vgg16", "resolution": 0}, "resolution must be at least 1, got 0"),
        ({"name": "vgg16", "channels": 1}, "channels has no effect on 'vgg16'; a network of the casebook takes --arg"),
        (
            {"name": "lenet5", "resolution": 28, "arguments": ["resolution=20"]},
            "lenet5 cannot be built for 20 pixels and used at 28",
        ),
        ({"name": "torch.nn:Nothing"}, "builder 'torch.nn:Nothing': module 'torch.nn' has no function 'Nothing'"),
        ({"name": "no.such:thing"}, "builder 'no.such:thing': module 'no.such' cannot be imported"),
        ({"name": "torch.nn:"}, "a builder must be module:function, got 'torch.nn:'"),
        (
            {"name": "torch.nn:Linear", "arguments": ["in_features=3"]},
            "builder 'torch.nn:Linear' cannot be called so: missing a required argument: 'out_features'; --argument",
        ),
        (
            {"name": "torch.nn:ReLU", "num_classes": 3},
            "builder 'torch.nn:ReLU' cannot be called so: got an unexpected keyword argument 'num_classes'",
        ),
        ({"name": "lenet5", "arguments": ["=3"]}, "argument must be NAME=VALUE, got '=3'"),
        ({"name": "vgg16", "arguments": ["a=1", "a=2"]}, "argument 'a' is given twice; leave one of them out"),
        (
            {"name": "torch.nn:ReLU", "num_classes": 3, "arguments": ["num_classes=4"]},
            "num_classes is given twice, as an option and as an argument",
        ),
        (
            {"name": "./", "num_classes": 3},
            "num-classes and argument have no effect on './'; a classifier is costed as",
        ),
    ],
)
def test_a_subject_that_there_is_not_is_refused(asked: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError, match=re.escape(sentence)):
        find_subject(**asked)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("16", 16), ("-1", -1), ("0.5", 0.5), (".5", 0.5), ("1e-3", 0.001), ("true", True), ("False", False),
        ("none", None), ("None", None), ("resnet18", "resnet18"), ("DEFAULT", "DEFAULT"), ("a=b", "a=b"), ("", ""),
    ],
)  # fmt: skip
def test_the_value_of_an_argument_is_what_it_reads_as(text: str, value: object) -> None:
    (found,) = find_subject("builtins:dict", arguments=[f"x={text}"]).arguments.values()
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("asked", "title"),
    [
        ({"name": "vgg16"}, "vgg16, 1,000 classes"),
        ({"name": "googlenet", "num_classes": 1, "arguments": ["aux=TRUE"]}, "googlenet, aux=true, 1 class"),
        ({"name": "torch.nn:ReLU", "arguments": ["inplace=false"]}, "torch.nn:ReLU, inplace=false"),
    ],
)
def test_the_title_says_what_is_asked_about(asked: dict[str, object], title: str) -> None:
    assert find_subject(**asked).title == title  # type: ignore[arg-type]


def test_a_name_of_the_casebook_wins_over_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "resnet20").mkdir()
    monkeypatch.chdir(tmp_path)
    assert find_subject("resnet20", num_classes=3).casebook


def test_a_folder_that_is_no_classifier_is_a_fault_of_the_data(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no classifier\.json"):
        find_subject(str(tmp_path))


def test_one_convolution_and_its_alternatives(convwise: Convwise) -> None:
    """The figures of GoogLeNet's 5x5 on 28x28x192 and of the lecture's five 3x3 filters."""
    text = (
        convwise("conv", "--input", "28x28x192", "--filters", "32", "--kernel", "5", "--bottleneck", "16").ends(0).out
    )
    assert "= 120,422,400" in text
    assert "= 2,408,448 + 10,035,200 = 12,443,648" in text
    command = ("conv", "--input", "6x6x3", "--filters", "5", "--kernel", "3", "--padding", "valid")
    plain, separable = convwise(*command, "--json").ends(0).json["alternatives"]
    assert (plain["macs"], separable["macs"]) == (2_160, 672)
    assert separable["macs_formula"].endswith("= 432 + 240 = 672")
    assert separable["ratio_formula"] == "1/5 + 1/9"
    assert separable["ratio"] == pytest.approx(1 / 5 + 1 / 9)

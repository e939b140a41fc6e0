"""What of each network the picture shows: its sizes, its layers in words, its blocks by their names."""

import re

import pytest
from torch import Tensor, nn

from convwise import networks
from convwise.cost import analyze, sketch
from convwise.errors import UsageError
from convwise.networks.blocks import ConvNet
from convwise.report.picture import draw_network, draw_stages

from .drawn import SVG, parse, picture, texts


def test_vgg_shows_the_sizes_of_the_lecture_and_each_of_its_13_convolutions() -> None:
    svg = picture("vgg16")
    assert texts(svg, "size") == [
        "224\u00d7224\u00d73", "224\u00d7224\u00d764", "112\u00d7112\u00d764", "112\u00d7112\u00d7128",
        "56\u00d756\u00d7128", "56\u00d756\u00d7256", "28\u00d728\u00d7256", "28\u00d728\u00d7512",
        "14\u00d714\u00d7512", "14\u00d714\u00d7512", "7\u00d77\u00d7512", "4096", "4096", "1000",
    ]  # fmt: skip
    assert len([g for g in parse(svg).iter(f"{SVG}g") if g.attrib["class"] == "conv"]) == 13


def test_a_stage_that_goes_on_in_the_next_row_says_so() -> None:
    stages = [line for line in texts(picture("vgg16"), "faint") if line.startswith("stage 3")]
    assert stages == ["stage 3", "stage 3, continued"]
    assert not [line for line in texts(picture("lenet5_1998")) if "continued" in line]


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("vgg16", "max pool 2\u00d72, stride 2"),
        ("resnet50", "conv 7\u00d77, stride 2"),
        ("alexnet", "conv 5\u00d75, 2 groups"),
        ("mobilenet_v1", "depthwise 3\u00d73, stride 2 + conv 1\u00d71"),
    ],
)
def test_a_label_says_kernel_stride_and_groups_in_words(name: str, label: str) -> None:
    about = parse(picture(name)).findtext(f"{SVG}desc") or ""
    assert f"{label}:" in about.replace("\u00a0", " ")
    assert not re.search(r"\d[x/]\d", about)


def test_a_number_stays_on_the_line_of_its_word() -> None:
    lines = texts(picture("googlenet"), "op")
    assert lines[1:3] == ["conv\u00a07\u00d77,", "stride\u00a02"]


def test_lenet_shows_every_layer() -> None:
    assert texts(picture("lenet5_1998"), "size") == [
        "32\u00d732\u00d71", "28\u00d728\u00d76", "14\u00d714\u00d76", "10\u00d710\u00d716", "5\u00d75\u00d716",
        "120", "84", "10",
    ]  # fmt: skip


def test_resnets_show_how_many_blocks_a_stage_has() -> None:
    names = ("resnet50", "resnet152")
    counts = {name: [line for line in texts(picture(name), "op") if line[0] == "\u00d7"] for name in names}
    assert counts == {
        "resnet50": ["\u00d73", "\u00d74", "\u00d76", "\u00d73"],  # Table 1 of the paper
        "resnet152": ["\u00d73", "\u00d78", "\u00d736", "\u00d73"],
    }


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("resnet50", ["bottleneck"]),  # Fig. 5 of the paper, right
        ("resnet34", ["basic block"]),  # and left
        ("plain50", ["plain bottleneck"]),
        ("mobilenet_v2", ["inverted residual"]),
    ],
)
def test_a_block_is_called_what_its_paper_calls_it(name: str, labels: list[str]) -> None:
    found = parse(picture(name)).iter(f"{SVG}g")
    titles = {group.findtext(f"{SVG}title") or "" for group in found if group.attrib["class"] == "block"}
    assert sorted({re.split(r"[:\u00d7]", title)[0].strip() for title in titles}) == labels


def test_c3_of_lenet_is_a_convolution_and_the_halves_of_alexnet_are_told() -> None:
    about = parse(picture("lenet5_1998")).findtext(f"{SVG}desc") or ""
    assert about.split("; ")[3] == "conv\u00a05\u00d75: 10\u00d710\u00d716"
    assert "block of layers" not in texts(picture("lenet5_1998"), "faint")
    assert (parse(picture("alexnet")).findtext(f"{SVG}desc") or "").count("2\u00a0groups") == 3  # layers 2, 4 and 5


def test_the_input_is_named_once_beside_the_legend() -> None:
    svg = picture("vgg16")
    assert texts(svg, "op").count("input") == texts(svg, "faint").count("input") == 1
    assert "image" not in texts(svg)


def test_the_same_network_gives_the_same_bytes() -> None:
    assert picture("resnet50") == picture("resnet50")


def test_a_module_without_parts_is_refused() -> None:
    with pytest.raises(UsageError, match="network must have a stem, and stages and head"):
        draw_network(nn.Linear(2, 2), (3, 8, 8), "mine")


def test_a_network_stays_as_it_was() -> None:
    with sketch():
        network = networks.create("lenet5").train()
    draw_network(network, (1, 28, 28), "lenet5")
    assert network.training
    assert all(module.training for module in network.modules())


def test_a_network_that_cannot_run_stays_as_it_was_too() -> None:
    head = nn.Sequential(nn.Flatten(), nn.Linear(3, 2))
    network = ConvNet(nn.Identity(), nn.Sequential(nn.Sequential(nn.Conv2d(4, 2, 1))), head).train()
    with pytest.raises(RuntimeError, match="channels"):
        draw_network(network, (3, 8, 8), "mine")
    assert all(module.training for module in network.modules())


class Branching(nn.Module):
    """As a network of the user's: children that are no chain, work of its own, a child that is never drawn."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.pool = nn.MaxPool2d(2)
        self.body = nn.Sequential(nn.Conv2d(8, 8, 1), nn.ReLU(), nn.Conv2d(8, 8, 1))
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.norm(self.conv1(x)))
        return self.head((x + self.body(x)).mean((2, 3)))  # type: ignore[no-any-return]


def test_a_module_of_other_parts_is_drawn_child_by_child() -> None:
    svg = draw_stages(analyze(Branching(), (3, 16, 16)), "mine")
    assert (parse(svg).findtext(f"{SVG}desc") or "").split("; ") == [
        "input: 16\u00d716\u00d73", "conv1: 8\u00d78\u00d78", "pool: 4\u00d74\u00d78", "body: 4\u00d74\u00d78",
        "head: 5",
    ]  # fmt: skip
    kinds = [group.attrib["class"] for group in parse(svg).iter(f"{SVG}g")]
    assert kinds == ["input", "conv", "pool", "block", "linear"]


def test_a_module_without_children_is_drawn_as_one() -> None:
    svg = draw_stages(analyze(nn.Conv2d(3, 8, 3), (3, 16, 16)), "one")
    assert texts(svg, "size") == ["16\u00d716\u00d73", "14\u00d714\u00d78"]


def test_tokens_are_a_column_of_vectors() -> None:
    svg = draw_stages(analyze(nn.Sequential(nn.Conv2d(3, 8, 4, stride=4), nn.Flatten(2)), (3, 16, 16)), "tokens")
    assert texts(svg, "size")[1] == "4\u00d74\u00d78"
    svg = draw_stages(analyze(nn.Sequential(nn.Linear(8, 6)), (5, 8)), "tokens")
    assert texts(svg, "size") == ["5\u00d71\u00d78", "5\u00d71\u00d76"]


def test_what_is_no_map_cannot_be_drawn() -> None:
    report = analyze(nn.Sequential(nn.Conv3d(3, 8, 1)), (3, 2, 4, 4))
    with pytest.raises(UsageError, match="'input' gives 3 x 2 x 4 x 4; leave it out"):
        draw_stages(report, "video")


def test_a_child_may_have_a_name_in_parentheses() -> None:
    module = nn.Sequential()
    module.add_module("(first)", nn.Conv2d(3, 4, 3))
    module.add_module("second", nn.Conv2d(4, 5, 3))
    assert "(first)" in texts(draw_stages(analyze(module, (3, 8, 8)), "two"))

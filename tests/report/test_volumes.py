"""The picture of a network: to scale, nothing over anything else, and nothing that a name could break."""

import re
import xml.etree.ElementTree as ET
from itertools import combinations
from typing import NamedTuple

import pytest
from torch import Tensor, nn

from convwise import networks
from convwise.cost import analyze, sketch
from convwise.errors import UsageError
from convwise.networks.blocks import ConvNet
from convwise.report.picture import draw_network, draw_stages
from convwise.report.volumes import MOST, Volume, collapse, draw, merge

SVG = "{http://www.w3.org/2000/svg}"
DRAWN = (
    "lenet5_1998", "lenet5", "alexnet", "vgg16", "vgg19", "nin_imagenet", "googlenet", "resnet50", "resnet152",
    "resnet110", "mobilenet_v1", "mobilenet_v2", "efficientnet_b0", "efficientnet_b7",
)  # fmt: skip
FONT = {"title": 22, "size": 16, "op": 15, "faint": 15}  # as the style sheet says; a test reads it there
HOSTILE = "</title><script>alert('x')</script>&\"\x00\x1b[31m\u202e\ud800\uffff{{ 7 * 7 }}"
CONV = Volume(64, 32, 32, "conv 3x3", "stage 1", "conv")
VECTOR = Volume(100, 1, 1, "linear", "head", "linear")


class Box(NamedTuple):
    """A box as drawn: of its front the thickness and height, of its back how far right and up it is."""

    x: float
    y: float
    thickness: float
    height: float
    right: float
    up: float


class Place(NamedTuple):
    """Where a line of text is."""

    left: float
    top: float
    right: float
    bottom: float
    line: str

    def meets(self, other: "Place") -> bool:
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom


def parse(svg: str) -> ET.Element:
    return ET.fromstring(svg.encode())


def texts(svg: str, kind: str = "") -> list[str]:
    found = parse(svg).iter(f"{SVG}text")
    return [text.text or "" for text in found if kind in ("", text.attrib["class"])]


def boxes(svg: str) -> list[Box]:
    found = []
    for group in parse(svg).iter(f"{SVG}g"):
        front, top = group.findall(f"{SVG}rect"), group.findall(f"{SVG}polygon")[0]
        x, y, thickness, height = (float(front[0].attrib[name]) for name in ("x", "y", "width", "height"))
        corners = [tuple(map(float, point.split(","))) for point in top.attrib["points"].split()]
        found.append(Box(x, y, thickness, height, corners[1][0] - x, y - corners[1][1]))
    return found


def places(svg: str) -> list[Place]:
    """Lines of text, a letter being 0.55 of the font size wide: digits are 0.556 in Arial, small letters less."""
    found = []
    for text in parse(svg).iter(f"{SVG}text"):
        kind, line = text.attrib["class"], text.text or ""
        x, y, size = float(text.attrib["x"]), float(text.attrib["y"]), FONT[kind]
        width = 0.55 * size * len(line)
        left = x - width / 2 if kind in ("size", "op") else x
        found.append(Place(left, y - 0.75 * size, left + width, y + 0.2 * size, line))
    return found


def picture(name: str) -> str:
    with sketch():
        return draw_network(networks.create(name), networks.input_shape(name), name)


def test_sides_and_thicknesses_are_to_scale() -> None:
    sizes = [(10, 80, 60), (40, 20, 20), (25, 7, 33), (3, 1, 1), (90, 1, 1)]
    drawn = boxes(draw([CONV._replace(channels=c, height=h, width=w) for c, h, w in sizes], "five"))
    pixel, channel = drawn[0].height / 80, drawn[0].thickness / 10
    for (channels, height, width), box in zip(sizes, drawn, strict=True):
        assert box.thickness == pytest.approx(channels * channel, rel=1e-4, abs=0.002)
        assert box.height == pytest.approx(height * pixel, rel=1e-4, abs=0.002)
        behind = width * pixel / 2 / 2**0.5  # cabinet projection: half the length, at 45 degrees
        assert (box.right, box.up) == pytest.approx((behind, behind), rel=1e-4, abs=0.002)


def test_the_legend_tells_both_scales() -> None:
    svg = draw([Volume(3, 224, 224, "input", "image", "input"), Volume(64, 224, 224, "conv 3x3", "1", "conv")], "t")
    high, _, thick = [
        tuple(map(float, line.attrib["d"].split("l")[1].split(",")))
        for line in list(parse(svg).iter(f"{SVG}path"))[-3:]
    ]
    notes = " ".join(texts(svg, "faint")).replace("\u00a0", " ")
    pixels, channels = re.search(r"(\d+) pixels high", notes), re.search(r"(\d+) channels thick", notes)
    assert pixels
    assert channels
    assert -high[1] / int(pixels[1]) == pytest.approx(boxes(svg)[0].height / 224, rel=1e-3)
    assert thick[0] / int(channels[1]) == pytest.approx(boxes(svg)[1].thickness / 64, rel=1e-3)


def test_a_vector_too_long_is_cut_and_says_its_number() -> None:
    svg = draw([CONV._replace(channels=8), VECTOR._replace(channels=50_000), VECTOR._replace(channels=20)], "long")
    _, first, second, whole = boxes(svg)
    assert second.x > first.x + first.thickness
    assert whole.thickness == pytest.approx(boxes(svg)[0].thickness * 20 / 8, rel=1e-3)
    assert "50000" in texts(svg, "size")
    assert "longer than drawn" in texts(svg)


def test_nothing_is_called_cut_or_left_out_where_nothing_is() -> None:
    svg = draw([CONV, VECTOR], "whole")
    assert not {"longer than drawn", "equal ones left out"} & set(texts(svg))


@pytest.mark.parametrize(("repeats", "drawn"), [(1, 1), (3, 3), (6, 6), (7, 2), (36, 2)])
def test_equal_maps_are_drawn_side_by_side_or_first_and_last(repeats: int, drawn: int) -> None:
    svg = draw([CONV, CONV._replace(channels=4, repeats=repeats)], "many")
    assert len(boxes(svg)) == 1 + drawn
    assert (f"\u00d7{repeats}" in texts(svg, "op")) is (repeats > 1)
    assert ("equal ones left out" in texts(svg)) is (repeats > 6)


@pytest.mark.parametrize("name", DRAWN)
def test_everything_is_on_the_page_and_no_text_on_another_or_on_a_box(name: str) -> None:
    svg = picture(name)
    _, _, width, height = map(float, parse(svg).attrib["viewBox"].split())
    lines, drawn = places(svg), boxes(svg)
    for box in drawn:
        assert box.x >= 0
        assert box.y - box.up >= 0
        assert box.x + box.thickness + box.right <= width
        assert box.y + box.height <= height
    for line in lines:
        assert line.left >= 0
        assert line.right <= width
        assert line.bottom <= height
    assert [(a.line, b.line) for a, b in combinations(lines, 2) if a.meets(b)] == []
    around = [Place(b.x, b.y - b.up, b.x + b.thickness + b.right, b.y + b.height, "box") for b in drawn]
    assert [line.line for line in lines for box in around if line.meets(box)] == []


@pytest.mark.parametrize("name", DRAWN)
def test_boxes_of_different_maps_do_not_touch(name: str) -> None:
    svg = picture(name)
    titles = [group.findtext(f"{SVG}title") for group in parse(svg).iter(f"{SVG}g")]
    for (one, a), (other, b) in combinations(zip(titles, boxes(svg), strict=True), 2):
        around = [Place(c.x, c.y - c.up, c.x + c.thickness + c.right, c.y + c.height, "") for c in (a, b)]
        assert one == other or not around[0].meets(around[1])


def test_long_labels_and_stages_stay_in_their_place() -> None:
    words = "abcdeghkn0123456789 " * 40  # of letters that are as wide as `places` takes them to be
    volumes = [CONV._replace(channels=k, label=words + "x" * 300, group=words + str(k // 2)) for k in range(1, 9)]
    lines = places(draw(volumes, words))
    assert all(line.left >= 0 and line.right <= 1000 for line in lines)
    assert [(a.line, b.line) for a, b in combinations(lines, 2) if a.meets(b)] == []


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


def test_long_sides_have_commas_in_the_legend() -> None:
    svg = draw([Volume(1, 2**24, 2**24, "input", "", "input")], "huge")
    (legend,) = (line for line in texts(svg, "faint") if "high" in line)
    high, wide = re.findall(r"[\d,]+(?=\W(?:pixels|wide))", legend)
    assert high == wide
    assert "," in high


def test_lenet_shows_every_layer() -> None:
    assert texts(picture("lenet5_1998"), "size") == [
        "32\u00d732\u00d71", "28\u00d728\u00d76", "14\u00d714\u00d76", "10\u00d710\u00d716", "5\u00d75\u00d716",
        "120", "84", "10",
    ]  # fmt: skip


def test_resnets_show_how_many_blocks_a_stage_has() -> None:
    counts = {name: [line for line in texts(picture(name), "op") if line[0] == "\u00d7"] for name in DRAWN[7:9]}
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


def test_alike_neighbours_become_one_with_their_number() -> None:
    other = CONV._replace(group="stage 2")
    assert merge([CONV, CONV, CONV, other, CONV]) == [CONV._replace(repeats=3), other, CONV]
    assert merge([CONV._replace(repeats=2), CONV]) == [CONV._replace(repeats=3)]
    assert merge([VECTOR, VECTOR]) == [VECTOR, VECTOR]  # end to end they would look like one


def test_few_volumes_are_all_kept() -> None:
    volumes = [CONV._replace(channels=k) for k in range(1, MOST + 1)]
    assert collapse(volumes) == volumes
    assert collapse([*volumes, CONV._replace(channels=MOST + 1)]) != volumes


def test_of_too_many_volumes_each_stage_keeps_its_last() -> None:
    first = [CONV._replace(channels=k) for k in range(1, 20)]
    second = [CONV._replace(channels=k, group="stage 2", kind="pool") for k in range(1, 20)]
    alone = CONV._replace(group="", label="alone")
    assert collapse([alone, *first, alone, *second, VECTOR]) == [
        alone,
        first[-1]._replace(label="19 steps"),
        alone,
        second[-1]._replace(label="19 steps"),
        VECTOR,
    ]


def test_a_stage_of_equal_blocks_keeps_their_label() -> None:
    blocks = [CONV._replace(label="bottleneck", kind="block")] * 36
    assert collapse([*blocks, *(VECTOR._replace(group="") for _ in range(3))], most=3)[0] == blocks[0]._replace(
        repeats=36
    )


def test_without_stages_each_resolution_keeps_its_last() -> None:
    image = Volume(3, 64, 64, "input", "", "input")
    maps = [Volume(c, s, s, "conv 3x3", "", "conv") for s in (64, 32) for c in range(1, 21)]
    assert collapse([image, *maps]) == [
        image,
        maps[19]._replace(label="20 steps"),
        maps[39]._replace(label="20 steps"),
    ]


def test_the_same_network_gives_the_same_bytes() -> None:
    assert picture("resnet50") == picture("resnet50")


def test_a_hostile_name_is_text() -> None:
    svg = draw([Volume(3, 8, 8, HOSTILE, HOSTILE, "input"), CONV._replace(label=HOSTILE)], HOSTILE)
    root = parse(svg)
    tags = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert tags == {"svg", "title", "desc", "style", "rect", "path", "g", "polygon", "text"}
    title = root.findtext(f"{SVG}title") or ""
    assert title.startswith("</title><script>alert('x')</script>&\"\\x00\\x1b[31m\\u202e\\ud800\\uffff{{ 7 * 7 }}")
    svg.encode()  # no lone surrogate is left


def test_no_scripts_no_links_and_both_themes() -> None:
    svg = picture("lenet5")
    assert "prefers-color-scheme: dark" in svg
    assert not re.search(r"<script|href|url\(|@import|@font-face", svg)


def test_the_style_has_the_font_sizes_that_the_places_assume() -> None:
    style = parse(draw([CONV], "t")).findtext(f"{SVG}style") or ""
    assert "text { font: 15px" in style
    assert ".title { font-size: 22px" in style
    assert ".size { font-size: 16px" in style


def test_who_cannot_see_it_is_told_what_it_shows() -> None:
    root = parse(draw([CONV, CONV._replace(channels=128, repeats=2)], "two"))
    assert root.attrib["role"] == "img"
    assert root.findtext(f"{SVG}title") == "two"
    assert root.findtext(f"{SVG}desc") == "conv 3x3: 32\u00d732\u00d764; conv 3x3 \u00d72: 32\u00d732\u00d7128"


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

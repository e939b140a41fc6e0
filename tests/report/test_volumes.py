"""The picture of a network: to scale, nothing over anything else, and nothing that a name could break."""

import re
from itertools import combinations

import pytest

from convwise.report.boxes import Volume
from convwise.report.volumes import MOST, collapse, draw, merge

from .drawn import CONV, SVG, VECTOR, Place, boxes, parse, picture, places, texts

DRAWN = (
    "lenet5_1998", "lenet5", "alexnet", "vgg16", "vgg19", "nin_imagenet", "googlenet", "resnet50", "resnet152",
    "resnet110", "mobilenet_v1", "mobilenet_v2", "efficientnet_b0", "efficientnet_b7",
)  # fmt: skip
HOSTILE = "</title><script>alert('x')</script>&\"\x00\x1b[31m\u202e\ud800\uffff{{ 7 * 7 }}"


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


def test_long_sides_have_commas_in_the_legend() -> None:
    svg = draw([Volume(1, 2**24, 2**24, "input", "", "input")], "huge")
    (legend,) = (line for line in texts(svg, "faint") if "high" in line)
    high, wide = re.findall(r"[\d,]+(?=\W(?:pixels|wide))", legend)
    assert high == wide
    assert "," in high


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

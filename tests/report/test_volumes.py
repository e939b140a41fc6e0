"""The picture of a network: to scale, nothing over anything else, and nothing that a name could break."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator

import pytest
from torch import nn

from convwise import networks
from convwise.cost import sketch
from convwise.errors import UsageError
from convwise.report.picture import draw_network
from convwise.report.volumes import LETTER, WIDTH, Volume, collapse, draw

SVG = "{http://www.w3.org/2000/svg}"
DRAWN = ("lenet5_1998", "alexnet", "vgg16", "nin_imagenet", "googlenet", "resnet152", "mobilenet_v1", "efficientnet_b7")


def picture(name: str) -> str:
    with sketch():
        return draw_network(networks.create(name), networks.input_shape(name), name)


def texts(svg: str) -> list[str]:
    return [text.text or "" for text in ET.fromstring(svg).iter(f"{SVG}text")]


def fronts(svg: str) -> list[tuple[float, float]]:
    """Width and height of every front face, the first polygon of each box."""
    found = []
    for polygon in list(ET.fromstring(svg).iter(f"{SVG}polygon"))[::5]:
        points = [tuple(map(float, point.split(","))) for point in polygon.attrib["points"].split()]
        found.append((points[1][0] - points[0][0], points[2][1] - points[1][1]))
    return found


def extents(svg: str) -> Iterator[tuple[float, float]]:
    for polygon in ET.fromstring(svg).iter(f"{SVG}polygon"):
        for point in polygon.attrib["points"].split():
            x, y = map(float, point.split(","))
            yield x, y


def test_sides_and_thicknesses_are_to_scale() -> None:
    volumes = [Volume(10, 80, 80, "conv", "a", "conv"), Volume(40, 20, 20, "conv", "b", "conv")]
    (first, tall), (second, short) = fronts(draw(volumes, "two"))
    assert tall / short == pytest.approx(4, abs=0.05)
    assert second / first == pytest.approx(4, abs=0.05)


def test_what_is_too_long_is_broken_and_says_its_number() -> None:
    svg = draw([Volume(8, 8, 8, "conv", "a", "conv"), Volume(4096, 1, 1, "linear", "head", "linear")], "long")
    assert "//" in texts(svg)
    assert "4096" in texts(svg)
    assert fronts(svg)[1][0] == pytest.approx(130)


@pytest.mark.parametrize("name", DRAWN)
def test_a_network_is_drawn_inside_its_page_and_no_text_over_another(name: str) -> None:
    svg = picture(name)
    root = ET.fromstring(svg)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    assert width == WIDTH
    assert all(0 <= x <= width and 0 <= y <= height for x, y in extents(svg))
    places = []
    for text in root.iter(f"{SVG}text"):
        if text.text == "//":
            continue
        length, x, y = len(text.text or "") * LETTER, float(text.attrib["x"]), float(text.attrib["y"])
        left = (
            x if "start" in text.attrib["class"] or text.attrib["class"] in ("title", "left faint") else x - length / 2
        )
        assert left >= 0
        assert left + length <= width
        places.append((left, left + length, y - 9, y + 2, text.text))
    for i, (left, right, top, bottom, words) in enumerate(places):
        for other_left, other_right, other_top, other_bottom, other in places[i + 1 :]:
            apart = right <= other_left or other_right <= left or bottom <= other_top or other_bottom <= top
            assert apart, (words, other)


def test_vgg_shows_the_sizes_of_the_lecture() -> None:
    found = texts(picture("vgg16"))
    sizes = [text.replace("\u00d7", "x") for text in found]
    of_the_lecture = ["224x224x64", "112x112x128", "56x56x256", "28x28x512", "7x7x512", "4096", "1000"]
    assert [size for size in sizes if size in of_the_lecture] == of_the_lecture
    assert found.count("conv 3x3 (\u00d73)") == 3


def test_lenet_shows_every_layer() -> None:
    found = texts(picture("lenet5_1998"))
    assert [t for t in found if "\u00d7" in t] == [
        "32\u00d732\u00d71", "28\u00d728\u00d76", "14\u00d714\u00d76", "10\u00d710\u00d716", "5\u00d75\u00d716",
    ]  # fmt: skip
    assert found[-2:] == ["10 pixels of height and width", "50 channels of thickness"]


def test_alike_neighbours_are_drawn_once_with_their_number() -> None:
    one = Volume(8, 4, 4, "block", "stage 1", "block")
    assert collapse([one, one, one, one._replace(group="stage 2")]) == [
        one._replace(repeats=3), one._replace(group="stage 2"),
    ]  # fmt: skip
    assert "block (\u00d7" + "36)" in " ".join(texts(picture("resnet152")))


def test_the_same_network_gives_the_same_bytes() -> None:
    assert picture("resnet50") == picture("resnet50")


def test_a_hostile_name_is_text() -> None:
    hostile = '</title><script>alert("x")</script>&'
    svg = draw([Volume(3, 8, 8, hostile, hostile, "input")], hostile)
    root = ET.fromstring(svg)
    assert not list(root.iter(f"{SVG}script"))
    assert root.findtext(f"{SVG}title") == hostile


def test_no_scripts_no_links_and_both_themes() -> None:
    svg = picture("lenet5")
    assert "prefers-color-scheme: dark" in svg
    assert not re.search(r"<script|href|url\(|@import", svg)


def test_a_module_without_parts_is_refused() -> None:
    with pytest.raises(UsageError, match="network must have a stem, and stages and head"):
        draw_network(nn.Linear(2, 2), (3, 8, 8), "mine")


def test_a_network_stays_as_it_was() -> None:
    with sketch():
        network = networks.create("lenet5").train()
    draw_network(network, (1, 28, 28), "lenet5")
    assert network.training
    assert all(module.training for module in network.modules())

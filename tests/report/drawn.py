"""What the tests of pictures share: boxes and lines of text of a drawing, as they lie on it."""

import xml.etree.ElementTree as ET
from typing import NamedTuple

from convwise import networks
from convwise.cost import sketch
from convwise.report.boxes import Volume
from convwise.report.picture import draw_network

SVG = "{http://www.w3.org/2000/svg}"
FONT = {"title": 22, "size": 16, "op": 15, "faint": 15}  # as the style sheet says; a test reads it there
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

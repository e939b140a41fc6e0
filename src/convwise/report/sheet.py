"""A contact sheet of augmentation as one picture: each operation alone, then what a training sees."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..data.augmentation.record import Colours
from .seen import Pixels, Seen
from .tiles import Photographer, Row, Tile

COLUMNS = (
    ("mirror", "area", "zoom", "shift", "rotation", "shear", "warp", "erasing"),
    ("brightness", "contrast", "saturation", "hue", "channel_shift", "pca", "mixup", "cutmix"),
)
TILES = 5  # a row
SEEN = 3  # images below, at most
INK, GREY, PAPER = (25, 25, 25), (105, 105, 105), (255, 255, 255)
MARGIN, GAP, CAPTION, LABEL, TITLE, LINE = 30, 6, 20, 176, 84, 20  # pixels


def draw_sheet(
    photos: Sequence[Pixels], pca_colours: Colours, seen: Seen, title: str, *, seed: int, side: int
) -> Image.Image:
    """Draw the sheet.

    Args:
        photos: uint8 (H, W, 3), one or more.
        pca_colours: of the images.
        seen: what a training sees of the same images.
        title: is printed above.
        seed: of what is drawn at random.
        side: of a tile, pixels.
    """
    camera = Photographer(photos, pca_colours, seed=seed, side=side)
    column = LABEL + TILES * (side + GAP) - GAP
    bands = TITLE + max(map(len, COLUMNS)) * (side + CAPTION) + 10
    width = 2 * column + 3 * MARGIN
    heading = _wrap(seen.heading, width - 2 * MARGIN, 16)
    shown = min(SEEN, len(seen.images))
    height = bands + LINE * len(heading) + 14 + shown * (side + GAP)
    page = _Page(width, height + MARGIN)
    page.text(MARGIN, 20, title, 26)
    page.text(MARGIN, 54, "Each operation alone, from one end of its usual range to the other", 16, GREY)
    colourful = max(range(len(photos)), key=lambda i: float(np.ptp(photos[i].mean(axis=(0, 1)))))
    for i, (names, photo) in enumerate(zip(COLUMNS, (0, colourful), strict=True)):
        for j, name in enumerate(names):
            page.row(MARGIN + i * (column + MARGIN), TITLE + j * (side + CAPTION), side, camera.alone(name, photo))
    count = (page.image.width - 2 * MARGIN + GAP) // (side + GAP)
    for line in heading:
        page.text(MARGIN, bands + 4, line, 16, GREY)
        bands += LINE
    for number in range(shown):
        tiles = [Tile(pixels, "") for pixels in seen.row(number, count - 1, seed=seed, side=side)]
        page.tiles(MARGIN, bands + 14 + number * (side + GAP), side, tiles)
    return page.image


class _Page:
    """A white page to draw on."""

    def __init__(self, width: int, height: int) -> None:
        self.image = Image.new("RGB", (width, height), PAPER)
        self._canvas = ImageDraw.Draw(self.image)

    def row(self, left: int, top: int, side: int, row: Row) -> None:
        """An operation: its name and strength, then its tiles."""
        self.text(left, top + 2, row.title, 18)
        for i, line in enumerate(_wrap(row.detail, LABEL - 12, 14)):
            self.text(left, top + 28 + 18 * i, line, 14, GREY)
        self.tiles(left + LABEL, top, side, row.tiles)

    def tiles(self, left: int, top: int, side: int, tiles: Sequence[Tile]) -> None:
        """Pictures side by side, captions below."""
        for i, tile in enumerate(tiles):
            x = left + i * (side + GAP)
            self.image.paste(Image.fromarray(tile.pixels), (x, top))
            self.text(x + side // 2, top + side + 2, tile.caption, 13, GREY, anchor="ma")

    def text(
        self, x: int, y: int, text: str, size: int, colour: tuple[int, int, int] = INK, *, anchor: str = "la"
    ) -> None:
        """One line."""
        self._canvas.text((x, y), text, colour, _font(size), anchor=anchor)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _wrap(text: str, width: int, size: int) -> list[str]:
    """Break a text at spaces into lines of so many pixels."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if _font(size).getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines

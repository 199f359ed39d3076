"""The contact sheet of findings: galleries as one picture, each under its title, small ones side by side."""

from collections.abc import Iterator, Sequence

from PIL import Image, ImageDraw

from featurestore.rendering import contact_sheet as sheet
from featurestore.rendering.galleries import SHEET, Gallery, left_out, limited

HEAD, SPACING = 30, 20  # pixels of the heading, and of a sentence or the title of a gallery


def gallery_sheet(
    title: str, summary: Sequence[str], galleries: Sequence[Gallery], bands: Sequence[int] | None = None
) -> Image.Image:
    """Draw a heading, sentences and galleries, of which the first are drawn where there are many; bands: those to show."""
    sentences, lines = [*summary, *left_out(galleries, SHEET)], list(_lines(limited(galleries, SHEET)))
    top = HEAD + SPACING * len(sentences) + sheet.GAP
    heights = [SPACING + sheet.GAP + _rows(line[0]) * sheet.ROW for line in lines]
    drawn = Image.new("RGB", (sheet.GAP + sheet.COLUMNS * sheet.COLUMN, top + sum(heights)), sheet.PAPER)
    draw = ImageDraw.Draw(drawn)
    width = drawn.width - 2 * sheet.GAP
    sheet.write(draw, (sheet.GAP, sheet.GAP // 2), title, sheet.LARGE, width, keep_start=True)
    for number, sentence in enumerate(sentences):
        at = sheet.GAP, HEAD + SPACING * number
        sheet.write(draw, at, sentence, sheet.SMALL, width, sheet.PALE, keep_start=True)
    for line, height in zip(lines, heights, strict=True):
        left = sheet.GAP
        for gallery in line:
            wide = min(len(gallery.pictures), sheet.COLUMNS) * sheet.COLUMN
            sheet.write(draw, (left, top), gallery.title, sheet.LARGE, wide - sheet.GAP, keep_start=True)
            for place, picture in enumerate(gallery.pictures):
                row, column = divmod(place, sheet.COLUMNS)
                tile = (picture.path, picture.title, picture.note or picture.path)
                at = (left + column * sheet.COLUMN, top + SPACING + sheet.GAP // 2 + row * sheet.ROW)
                sheet.draw_tile(drawn, draw, at, tile, sheet.EXAMPLE if picture.marked else None, bands)
            left += wide
        top += height
    return drawn


def _lines(galleries: Sequence[Gallery]) -> Iterator[list[Gallery]]:
    """Put galleries below each other, and beside each other where they fit into one row."""
    line: list[Gallery] = []
    for gallery in galleries:
        if line and sum(len(other.pictures) for other in (*line, gallery)) > sheet.COLUMNS:
            yield line
            line = []
        line.append(gallery)
    if line:
        yield line


def _rows(gallery: Gallery) -> int:
    return -(-len(gallery.pictures) // sheet.COLUMNS)

"""The contact sheet: queries and hits as one picture."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from featurestore.errors import ImageError
from featurestore.imaging.single import thumbnail
from featurestore.imaging.tasks import scaled
from featurestore.system.disk import atomic_write
from featurestore.system.text import printable

TILE, TEXT, GAP, COLUMNS = 160, 34, 12, 6  # pixels, and tiles a row
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
INK, PALE, PAPER, LINE = "#1c1c1c", "#6b6b6b", "#ffffff", "#dddddd"
EXAMPLE, NEGATIVE = "#0a5fb4", "#b3261e"  # frames of the queries
COLUMN, ROW = TILE + GAP, TILE + TEXT + GAP
LARGE, SMALL = 14, 12  # sizes of letters


def contact_sheet(
    tiles: Sequence[tuple[Image.Image | str, str, str]],
    heading: str,
    examples: int,
    negatives: int = 0,
    bands: Sequence[int] | None = None,
) -> Image.Image:
    """Draw tiles of (picture or its path, bold line, pale line); the first `examples` have a blue frame, the next `negatives` a red one.

    bands: those to show.
    """
    accents = [EXAMPLE] * examples + [NEGATIVE] * negatives
    columns = max(1, min(COLUMNS, len(tiles)))
    rows = -(-len(tiles) // columns)
    top = 30
    sheet = Image.new("RGB", (GAP + columns * COLUMN, top + rows * ROW + GAP), PAPER)
    draw = ImageDraw.Draw(sheet)
    write(draw, (GAP, GAP // 2), heading, LARGE, sheet.width - 2 * GAP)
    for place, tile in enumerate(tiles):
        at = (GAP + place % columns * COLUMN, top + place // columns * ROW)
        draw_tile(sheet, draw, at, tile, accents[place] if place < len(accents) else None, bands)
    return sheet


def draw_tile(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    at: tuple[int, int],
    tile: tuple[Image.Image | str, str, str],
    accent: str | None,
    bands: Sequence[int] | None,
) -> None:
    """Draw a tile of (picture or its path, bold line, pale line) at the left top corner `at`; accent: the colour of its frame."""
    (x, y), (picture, bold, pale) = at, tile
    shown = _tile(picture, bands)
    sheet.paste(shown, (x + (TILE - shown.width) // 2, y + (TILE - shown.height) // 2))
    draw.rectangle((x - 1, y - 1, x + TILE, y + TILE), outline=accent or LINE, width=3 if accent else 1)
    write(draw, (x, y + TILE + 2), bold, LARGE, TILE, accent or INK)
    write(draw, (x, y + TILE + 18), pale, SMALL, TILE, PALE)


def write(
    draw: ImageDraw.ImageDraw,
    at: tuple[int, int],
    text: str,
    size: int,
    width: int,
    ink: str = INK,
    keep_start: bool = False,
) -> None:
    """Write a line, shortened to a width in pixels; keep_start: its start stays, otherwise its end, as of a path."""
    font = ImageFont.load_default(size)
    draw.text(at, _fit(draw, text, font, width, keep_start), fill=ink, font=font)


def save(sheet: Image.Image, path: Path) -> None:
    """Write the sheet in the format of the suffix of `path`, one of SUFFIXES. Raises DiskError."""
    with atomic_write(path, "expected a name such as hits.png in an existing folder") as file:
        sheet.save(file, Image.registered_extensions()[path.suffix.lower()])


def _tile(picture: Image.Image | str, bands: Sequence[int] | None) -> Image.Image:
    """Scale a picture to the size of a tile; the pixels of a small one stay sharp."""
    try:
        image = thumbnail(picture, TILE, bands)
    except ImageError:
        return Image.new("RGB", (TILE, TILE), "#eeeeee")  # the file is gone or damaged: a grey tile
    small = 2 * max(image.size) < TILE
    return scaled(image, TILE, Image.Resampling.NEAREST if small else Image.Resampling.BICUBIC)


def _fit(
    draw: ImageDraw.ImageDraw,
    text: str,
    font: ImageFont.ImageFont | ImageFont.FreeTypeFont,
    width: int,
    keep_start: bool,
) -> str:
    """Shorten text until it fits: from the left, since the end of a path says more than its start, or from the right."""
    whole = printable(text)
    text = whole[:width] if keep_start else whole[-width:]  # a letter takes a pixel at least
    if text == whole and draw.textlength(text, font) <= width:
        return text
    if keep_start:
        while text and draw.textlength(text + "…", font) > width:
            text = text[:-1]
        return text + "…"
    while text and draw.textlength("…" + text, font) > width:
        text = text[1:]
    return "…" + text

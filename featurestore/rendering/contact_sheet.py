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
    sheet = Image.new("RGB", (GAP + columns * (TILE + GAP), top + rows * (TILE + TEXT + GAP) + GAP), PAPER)
    draw = ImageDraw.Draw(sheet)
    large, small = ImageFont.load_default(14), ImageFont.load_default(12)
    draw.text((GAP, GAP // 2), _fit(draw, heading, large, sheet.width - 2 * GAP), fill=INK, font=large)
    for place, (picture, bold, pale) in enumerate(tiles):
        x = GAP + place % columns * (TILE + GAP)
        y = top + place // columns * (TILE + TEXT + GAP)
        shown = _tile(picture, bands)
        sheet.paste(shown, (x + (TILE - shown.width) // 2, y + (TILE - shown.height) // 2))
        frame, width, ink = (accents[place], 3, accents[place]) if place < len(accents) else (LINE, 1, INK)
        draw.rectangle((x - 1, y - 1, x + TILE, y + TILE), outline=frame, width=width)
        draw.text((x, y + TILE + 2), _fit(draw, bold, large, TILE), fill=ink, font=large)
        draw.text((x, y + TILE + 18), _fit(draw, pale, small, TILE), fill=PALE, font=small)
    return sheet


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


def _fit(draw: ImageDraw.ImageDraw, text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, width: int) -> str:
    """Shorten text from the left until it fits, since the end of a path says more than its start."""
    whole = printable(text)
    text = whole[-width:]  # a letter takes a pixel at least
    if text == whole and draw.textlength(text, font) <= width:
        return text
    while text and draw.textlength("…" + text, font) > width:
        text = text[1:]
    return "…" + text

"""The contact sheet: a query and its hits as one picture."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from featurestore import images
from featurestore.errors import DiskError, ImageError
from featurestore.sources import read

TILE, TEXT, GAP, COLUMNS = 160, 34, 12, 6  # pixels, and tiles a row
INK, PALE, PAPER, ACCENT = "#1c1c1c", "#6b6b6b", "#ffffff", "#0a5fb4"


def contact_sheet(tiles: Sequence[tuple[Image.Image | str, str, str]], heading: str, query_first: bool) -> Image.Image:
    """Draw tiles of (picture or its path, bold line, pale line); with `query_first` the first one stands out."""
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
        thumbnail = _thumbnail(picture)
        sheet.paste(thumbnail, (x + (TILE - thumbnail.width) // 2, y + (TILE - thumbnail.height) // 2))
        stands_out = query_first and place == 0
        frame, width = (ACCENT, 3) if stands_out else ("#dddddd", 1)
        draw.rectangle((x - 1, y - 1, x + TILE, y + TILE), outline=frame, width=width)
        draw.text((x, y + TILE + 2), _fit(draw, bold, large, TILE), fill=ACCENT if stands_out else INK, font=large)
        draw.text((x, y + TILE + 18), _fit(draw, pale, small, TILE), fill=PALE, font=small)
    return sheet


def save(sheet: Image.Image, path: Path) -> None:
    """Write the sheet; the suffix of `path` says the format. Raises DiskError when it cannot be written."""
    part = path.with_name(f".{path.name}.part{path.suffix}")
    try:
        sheet.save(part)
        part.replace(path)
    except (OSError, ValueError) as error:  # ValueError: a suffix that Pillow does not know
        raise DiskError(
            f"sheet {str(path)!r} could not be written ({error}); expected a name such as hits.png in a folder that is there"
        ) from error
    finally:
        part.unlink(missing_ok=True)


def _thumbnail(picture: Image.Image | str) -> Image.Image:
    if isinstance(picture, str):
        try:
            picture = images.decode(read(picture), shorter_side=TILE).image
        except ImageError:
            picture = Image.new("RGB", (TILE, TILE), "#eeeeee")  # the file is gone; its place stays empty
    scale = TILE / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.convert("RGB").resize(size, Image.Resampling.NEAREST if scale > 2 else Image.Resampling.BICUBIC)


def _fit(draw: ImageDraw.ImageDraw, text: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, width: int) -> str:
    """Cut text from the left until it fits; the end of a path says more than its start."""
    if draw.textlength(text, font) <= width:
        return text
    while text and draw.textlength("…" + text, font) > width:
        text = text[1:]
    return "…" + text

"""Thumbnails of images of many bands: all pictures show the bands that the encoder reads."""

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featurestore.errors import ImageError
from featurestore.imaging.single import thumbnail
from featurestore.progress import Listener
from featurestore.rendering.contact_sheet import TILE, contact_sheet
from featurestore.report.pictures import Pictures
from featurestore.report.values import Item
from featurestore.search.results import Matches
from tests.featurestore.imaging.image_bytes import multiband

BANDS, COLOUR = (5, 4, 3), (250, 20, 130)


@pytest.fixture
def tile(tmp_path: Path) -> str:
    """A TIFF of five bands, each of one value."""
    file = tmp_path / "tile.tif"
    file.write_bytes(multiband(np.tile(np.array([0, 0, *reversed(COLOUR)], np.uint8), (200, 200, 1))))
    return str(file)


def middle(picture: Image.Image) -> tuple[int, ...]:
    at = np.asarray(picture.convert("RGB"))[picture.height // 2, picture.width // 2]
    return tuple(map(int, at))


def inside(html: str) -> Image.Image:
    """The first picture of a page."""
    found = re.search(r"data:image/jpeg;base64,([A-Za-z0-9+/=]+)", html)
    assert found is not None
    return Image.open(io.BytesIO(base64.b64decode(found[1])))


def test_a_thumbnail_shows_the_bands_asked_for(tile: str) -> None:
    assert middle(thumbnail(tile, 64, BANDS)) == COLOUR
    assert middle(thumbnail(tile, 64, (4,))) == (20, 20, 20)
    assert middle(thumbnail(tile, 64)) == (0, 0, 130)
    with pytest.raises(ImageError, match="has 5 bands; the encoder reads the bands 7,6,5"):
        thumbnail(tile, 64, (7, 6, 5))


def test_sheets_pages_and_reports_pass_them_on(tile: str, tmp_path: Path) -> None:
    found = Matches(np.array([1]), np.array([0.5], np.float32), [tile], [None], bands=BANDS)
    shown = contact_sheet([(tile, "", "")], "", 0, bands=BANDS)
    assert shown.getpixel((TILE // 2, TILE // 2 + 30)) == COLOUR
    near = pytest.approx(COLOUR, abs=4)  # JPEG
    assert middle(inside(found.html(tmp_path / "a.html").read_text())) == near
    assert middle(inside(found._repr_html_())) == near
    assert middle(Image.open(found.sheet(tmp_path / "a.png")).crop((12, 30, 12 + TILE, 30 + TILE))) == COLOUR
    item = Item(1, tile, None)
    assert middle(Pictures.of([item], [], BANDS, Listener()).sheet([item], 1)) == COLOUR

"""The images that a report shows: each is read and scaled down once, by several threads."""

import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from markupsafe import Markup
from PIL import Image

from featurestore.errors import ImageError
from featurestore.imaging.single import thumbnail
from featurestore.progress import Listener
from featurestore.rendering.html import InlineImage, data_url
from featurestore.report.values import Item
from featurestore.system.cpus import available_cpus
from featurestore.system.text import describe_error

SIDE = 256  # pixels of the longer side of a picture: it is shown small, and large when it is pressed
TILE = 64  # pixels of a tile in the sheet of the map
QUALITY = 80
GREY = "#8a8a86"  # of a tile whose picture cannot be opened


class Pictures:
    """Thumbnails of items by their id, or the reason why there is none."""

    def __init__(self, thumbnails: Mapping[int, Image.Image | str]) -> None:
        self._thumbnails = thumbnails

    @classmethod
    def of(
        cls, large: Iterable[Item], small: Iterable[Item], bands: Sequence[int] | None, listener: Listener
    ) -> "Pictures":
        """Read items: those of `large` at the size of a picture, the others of `small` at the size of a tile; bands: those to show."""
        wanted = {item.id: (item, TILE) for item in small} | {item.id: (item, SIDE) for item in large}
        listener.start("reading pictures", len(wanted))
        lock = threading.Lock()

        def load(item: Item, side: int) -> Image.Image | str:
            loaded = _load(item.path, side, bands)
            with lock:
                listener.advance()
            return loaded

        with ThreadPoolExecutor(available_cpus()) as threads:
            return cls(dict(zip(wanted, threads.map(lambda pair: load(*pair), wanted.values()), strict=True)))

    def image(self, item: Item) -> InlineImage:
        """Give the picture of an item for the page."""
        loaded = self._thumbnails[item.id]
        if isinstance(loaded, str):
            return InlineImage(reason=loaded)
        return InlineImage(data_url(loaded, QUALITY), tiny=max(loaded.size) <= SIDE // 3)

    def sheet(self, items: Sequence[Item], columns: int) -> Image.Image:
        """Draw a square tile for each item, row by row; what does not fit into the square is cut off."""
        rows = -(-len(items) // columns)
        sheet = Image.new("RGB", (columns * TILE, rows * TILE), GREY)
        for place, item in enumerate(items):
            loaded = self._thumbnails[item.id]
            if not isinstance(loaded, str):
                sheet.paste(_square(loaded), (place % columns * TILE, place // columns * TILE))
        return sheet

    def sheet_url(self, items: Sequence[Item], columns: int) -> Markup:
        """Give the same sheet as a data: URL."""
        return data_url(self.sheet(items, columns), QUALITY)


def _load(path: str, side: int, bands: Sequence[int] | None) -> Image.Image | str:
    try:
        return thumbnail(path, side, bands)
    except ImageError as error:
        return str(error)
    except Exception as error:  # one picture never stops a report
        return describe_error(error)


def _square(picture: Image.Image) -> Image.Image:
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    few_pixels = side < TILE // 1.5
    filter = Image.Resampling.NEAREST if few_pixels else Image.Resampling.BICUBIC
    return picture.resize((TILE, TILE), filter, (left, top, left + side, top + side))

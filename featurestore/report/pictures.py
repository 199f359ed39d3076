"""The images that a report shows: each read and reduced once, by several threads."""

import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from PIL import Image

from featurestore.errors import ImageError
from featurestore.progress import Listener
from featurestore.rendering.html import embedded, text
from featurestore.rendering.thumbnails import thumbnail
from featurestore.report.figures import Item
from featurestore.system.cpus import available_cpus
from featurestore.system.text import describe

SIDE = 144  # pixels of the longer side of a picture
TILE = 64  # of the tiles of a sheet of many
QUALITY = 80
GREY = "#8a8a86"  # in place of a tile's picture that cannot be opened


class Pictures:
    """Thumbnails of items by their id, or the reason why there is none."""

    def __init__(self, found: Mapping[int, Image.Image | str]) -> None:
        self._found = found

    @classmethod
    def of(cls, large: Iterable[Item], small: Iterable[Item], listener: Listener) -> "Pictures":
        """Read items, those of `small` to the size of a tile unless they are among the `large`."""
        wanted = {item.id: (item, TILE) for item in small} | {item.id: (item, SIDE) for item in large}
        listener.start("reading pictures", len(wanted))
        lock = threading.Lock()

        def load(item: Item, side: int) -> Image.Image | str:
            found = _load(item.path, side)
            with lock:
                listener.advance()
            return found

        with ThreadPoolExecutor(available_cpus()) as threads:
            found = threads.map(lambda wish: load(*wish), wanted.values())
            return cls(dict(zip(wanted, found, strict=True)))

    def show(self, item: Item, alt: str) -> str:
        """The picture of an item inside the page; a tile with the reason where it cannot be opened."""
        found = self._found[item.id]
        if isinstance(found, str):
            return f'<span class="missing" title="{text(found)}">cannot be opened</span>'
        tiny = ' class="tiny"' if max(found.size) <= SIDE // 3 else ""
        return f'<img{tiny} alt="{text(alt)}" src="{embedded(found, QUALITY)}">'

    def sheet(self, items: Sequence[Item], columns: int) -> Image.Image:
        """One picture of a tile an item, row by row: what does not fill a square is cut at its longer ends."""
        rows = -(-len(items) // columns)
        sheet = Image.new("RGB", (columns * TILE, rows * TILE), GREY)
        for place, item in enumerate(items):
            found = self._found[item.id]
            if not isinstance(found, str):
                sheet.paste(_square(found), (place % columns * TILE, place // columns * TILE))
        return sheet


def _load(path: str, side: int) -> Image.Image | str:
    try:
        return thumbnail(path, side)
    except ImageError as error:
        return str(error)
    except Exception as error:  # one picture never stops a report
        return describe(error)


def _square(picture: Image.Image) -> Image.Image:
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    countable = side < TILE // 1.5
    kept = Image.Resampling.NEAREST if countable else Image.Resampling.BICUBIC
    return picture.resize((TILE, TILE), kept, (left, top, left + side, top + side))

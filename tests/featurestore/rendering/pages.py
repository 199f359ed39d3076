"""Pages, read as a browser would."""

import base64
import io
from html.parser import HTMLParser

from PIL import Image


class Reader(HTMLParser):
    """What a page holds: its tags, its text, its pictures and its links."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.links: list[str] = []
        self.classes: list[str] = []
        self.pictures: list[Image.Image] = []
        self.alts: list[str] = []
        self.feed(text.replace("<wbr>", ""))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            assert not name.startswith("on"), name
            if name == "src":
                head, _, data = str(value).partition(",")
                assert head == "data:image/jpeg;base64"
                self.pictures.append(Image.open(io.BytesIO(base64.b64decode(data))))
            elif name in ("href", "alt", "class"):
                {"href": self.links, "alt": self.alts, "class": self.classes}[name].append(str(value))

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append(data.strip())

"""What an HTML parser finds in a page: its tags with their attributes, its scripts and styles, and its text."""

from html.parser import HTMLParser

SCHEMES = ("data:image/jpeg;base64,", "file:///", "http://", "https://", "#")  # of what a page shows or links to


class Structure(HTMLParser):
    """A page as a browser takes it apart."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, ...]] = []  # each with the names of its attributes
        self.code: list[str] = []  # of scripts and styles
        self.texts: list[str] = []  # what is read, and values of attributes
        self.urls: list[str] = []
        self._inside = ""
        self.feed(page.replace("<wbr>", ""))  # a place where a name may break
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        self.tags.append((tag, *(name for name, _ in attrs)))
        for name, value in attrs:
            (self.urls if name in ("src", "href") else self.texts).append(value or "")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""
        self.tags.append((f"/{tag}",))

    def handle_data(self, data: str) -> None:
        (self.code if self._inside in ("script", "style") else self.texts).append(data)

"""The query of a search, as a page or a contact sheet shows it."""

from dataclasses import dataclass

from PIL import Image


@dataclass(frozen=True, slots=True)
class QueryImage:
    """One example of a query, with its picture and name."""

    picture: Image.Image | str | None  # or its path; None for a vector
    name: str
    negative: bool = False

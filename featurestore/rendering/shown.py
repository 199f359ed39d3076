"""What a search was asked, as people see it on a page or a contact sheet."""

from dataclasses import dataclass

from PIL import Image


@dataclass(frozen=True, slots=True)
class Shown:
    """A query as people see it."""

    picture: Image.Image | str | None  # or its path; None for a vector
    name: str
    negative: bool = False

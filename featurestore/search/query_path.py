"""Queries that are paths: whether there is a file to read, and which item of the store it is."""

import os
from pathlib import Path

from featurestore.errors import ImageError, QueryError
from featurestore.sources.filesystem import file_state, is_url
from featurestore.sources.open import MEMBER
from featurestore.system.text import CONTROL


def check_query_path(query: str | Path, encoder: str) -> None:
    """Raise ImageError unless a local path leads to a regular file, and QueryError for words: reading a pipe or a device would never end."""
    text = os.fspath(query)
    if is_url(text):
        return
    member = None if os.path.lexists(text) else MEMBER.fullmatch(text)
    try:
        file_state(member[1] if member is not None else text)
    except ImageError as error:
        if text.isdecimal():
            raise QueryError(
                f"query {text!r}: expected an image file; for the item of that id write id:{text}"
            ) from error
        if os.path.lexists(text) or os.sep in text or Path(text).suffix:
            raise ImageError(f"query {text!r}: expected an image file; {error}") from error
        raise QueryError(
            f"query {text!r}: there is no such file, and the encoder {encoder} reads images, not words; search by an image or "
            "an item such as id:17, and choose among labels by where"
        ) from error


def item_paths(query: object) -> tuple[str, ...]:
    """Give the paths that the item of a query has, if it is in the store; none for what is not a path."""
    if not isinstance(query, (str, Path)):
        return ()
    text = os.fspath(query)
    if is_url(text):
        return (text,)
    member = None if os.path.lexists(text) else MEMBER.fullmatch(text)
    file, inside = (text, "") if member is None else (member[1], f"::{member[2]}")
    paths = dict.fromkeys(path + inside for path in (os.path.abspath(file), os.path.realpath(file)))
    return tuple(path for path in paths if not CONTROL.search(path))  # no item has such a path

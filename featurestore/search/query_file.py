"""Queries as text: how one is written, and files of many."""

import os
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featurestore.errors import QueryError
from featurestore.search.query import Example
from featurestore.sources.lists import locate, numbered_lines
from featurestore.system.text import describe

ITEM = re.compile(r"id:([0-9]{1,18})")


def from_text(text: str) -> str | int:
    """Take what a user wrote: "id:17" is an item, all else the path or URL of an image. Raises QueryError for "id:" and no number."""
    found = ITEM.fullmatch(text)
    if found is not None:
        return int(found[1])
    if text.startswith("id:"):
        raise QueryError(f"query {text!r}: expected the id of an item, such as id:17; a file of that name is ./{text}")
    return text


def read_queries(file: str | Path) -> list[Example] | NDArray[np.floating]:
    """Read a file of queries: text with one a line, or a .npy with vectors (Q, D).

    A line is the path of an image, relative to the file's folder or the current one, a URL or "id:17"; blank lines and those that
    begin with # are passed over. Raises QueryError.
    """
    return _read_array(Path(file)) if Path(file).suffix.lower() == ".npy" else _read_lines(Path(file))


def _read_lines(file: Path) -> list[Example]:
    examples = []
    for number, written in _lines(file):
        place = f"{file}, line {number}"
        try:
            query = from_text(written)
        except QueryError as error:
            raise QueryError(f"{place}: {error}") from error
        path = _locate(query, str(file.parent)) if isinstance(query, str) else query
        examples.append(Example(path, place, written))
    if not examples:
        raise QueryError(f"{file}: expected queries, one a line; found none")
    return examples


def _lines(file: Path) -> list[tuple[int, str]]:
    try:
        return numbered_lines(file.read_bytes())
    except OSError as error:
        raise QueryError(f"{file}: expected a text file of queries, or a .npy; {describe(error)}") from error
    except ValueError as error:
        raise QueryError(
            f"{file}: expected queries in UTF-8, one a line; {error}; vectors need the suffix .npy"
        ) from error


def _locate(path: str, folder: str) -> str:
    """Find a path beside the file of queries; of a place within a container the container is looked for."""
    container, within, place = path.partition("::")
    whole = locate(path, folder)
    return whole if os.path.lexists(whole) else locate(container, folder) + within + place


def _read_array(file: Path) -> NDArray[np.floating]:
    try:
        array: NDArray[np.floating] = np.lib.format.open_memmap(file, mode="r")  # never unpickles
    except OSError as error:
        raise QueryError(f"{file}: expected a .npy of query vectors; {describe(error)}") from error
    except Exception as error:  # numpy raises nearly everything on a damaged header
        raise QueryError(
            f"{file}: expected a .npy of query vectors that numpy.save wrote; {describe(error)}"
        ) from error
    if array.ndim != 2 or array.dtype.kind not in "fiu" or not len(array):
        raise QueryError(
            f"{file}: expected vectors (Q, D) of numbers; found an array of the shape {array.shape} and type {array.dtype}"
        )
    return array

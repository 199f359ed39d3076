"""Queries as users write them: as text, and in files of many."""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featurestore.errors import QueryError
from featurestore.search.query import QueryExample
from featurestore.sources.lists import numbered_lines
from featurestore.sources.relative_paths import locate
from featurestore.system.text import describe_error
from featurestore.system.user_file import refuse_pipe

ITEM = re.compile(r"id:([0-9]{1,18})")


def parse_query(text: str) -> str | int:
    """Read a query: "id:17" is an item, anything else the path or URL of an image. Raises QueryError for "id:" without a number."""
    found = ITEM.fullmatch(text)
    if found is not None:
        return int(found[1])
    if text.startswith("id:"):
        raise QueryError(f"query {text!r}: expected the id of an item, such as id:17; a file of that name is ./{text}")
    return text


def read_queries(file: str | Path) -> list[QueryExample] | NDArray[np.floating]:
    """Read a file of queries: text with one query per line, or a .npy of vectors (Q, D).

    A line is the path of an image, relative to the file or to the current folder, a URL, or "id:17". Blank lines and lines
    that begin with # are skipped. Raises QueryError.
    """
    return _read_array(Path(file)) if Path(file).suffix.lower() == ".npy" else _read_lines(Path(file))


def _read_lines(file: Path) -> list[QueryExample]:
    examples = []
    for number, written in _lines(file):
        place = f"{file}, line {number}"
        try:
            query = parse_query(written)
        except QueryError as error:
            raise QueryError(f"{place}: {error}") from error
        path = locate(query, file.parent) if isinstance(query, str) else query
        examples.append(QueryExample(path, place, written))
    if not examples:
        raise QueryError(f"{file}: expected queries, one per line; found none")
    return examples


def _lines(file: Path) -> list[tuple[int, str]]:
    try:
        refuse_pipe(file)
        return numbered_lines(file.read_bytes())
    except OSError as error:
        raise QueryError(f"{file}: expected a text file of queries, or a .npy; {describe_error(error)}") from error
    except ValueError as error:
        raise QueryError(
            f"{file}: expected queries in UTF-8, one per line; {error}; vectors need the suffix .npy"
        ) from error


def _read_array(file: Path) -> NDArray[np.floating]:
    try:
        refuse_pipe(file)
        array: NDArray[np.floating] = np.lib.format.open_memmap(file, mode="r")  # never unpickles
    except OSError as error:
        raise QueryError(f"{file}: expected a .npy of query vectors; {describe_error(error)}") from error
    except Exception as error:  # numpy raises nearly everything on a damaged header
        raise QueryError(
            f"{file}: expected a .npy of query vectors that numpy.save wrote; {describe_error(error)}"
        ) from error
    if array.ndim != 2 or array.dtype.kind not in "fiu" or not len(array):
        raise QueryError(
            f"{file}: expected vectors (Q, D) of numbers; found an array of the shape {array.shape} and type {array.dtype}"
        )
    return array

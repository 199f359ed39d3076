"""The one place that prints what commands say: text for people, JSON for programs."""

import json
import sys
from collections.abc import Iterable
from typing import Any

from featurestore.system.text import printable, shortened

LONGEST_LINE = 10_000  # characters; JSON is never cut


def print_lines(lines: Iterable[str], err: bool = False) -> None:
    """Print lines on stdout, or on stderr. What a name from a file could do to a terminal is spelled out, line breaks within a line too."""
    stream = sys.stderr if err else sys.stdout
    stream.writelines(f"{shortened(printable(line), LONGEST_LINE)}\n" for line in lines)
    stream.flush()


def print_line(text: str, err: bool = False) -> None:
    """Print one line as `print_lines` does."""
    print_lines([text], err)


def print_json(value: Any, indent: int | None = 2) -> None:
    """Print a value as JSON in ASCII, which gives back every text exactly; what JSON does not know becomes text."""
    print(_json(value, indent), flush=True)


def print_json_list(pieces: Iterable[list[Any]]) -> None:
    """Print a list as `print_json` does, piece by piece: all of its objects at once may take much memory."""
    texts = (_json(piece, 2) for piece in pieces if piece)
    first = next(texts, None)
    sys.stdout.write("[" if first is None else first[:-2])
    sys.stdout.writelines(f",{text[1:-2]}" for text in texts)
    print("]" if first is None else "\n]", flush=True)


def print_result(value: Any, lines: Iterable[str], as_json: bool, indent: int | None = 2) -> None:
    """Print a result as JSON or as lines of text."""
    if as_json:
        print_json(value, indent)
    else:
        print_lines(lines)


def _json(value: Any, indent: int | None) -> str:
    text = json.dumps(value, indent=indent, default=str)
    return text.replace("\x7f", "\\u007f")  # the one control character that JSON leaves as it is

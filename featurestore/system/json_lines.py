"""Files with one JSON object a line, such as metrics.jsonl."""

import json
from pathlib import Path
from typing import Any


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Read the objects of a file in order.

    A crash can cut off a line while it is written. Such a line is not JSON and is left out; so is a damaged one, and any other that is
    not an object. Raises OSError.
    """
    found = []
    for line in path.read_bytes().splitlines():
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            found.append(value)
    return found

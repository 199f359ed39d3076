"""Files with one JSON object a line, such as metrics.jsonl."""

import json
from pathlib import Path
from typing import Any


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Read the objects of a file in order.

    A crash can cut off a line while it is written. Such a line is not JSON and is left out; so is any other that is not an object.
    Raises OSError, and UnicodeDecodeError for a file that is not text.
    """
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            found.append(value)
    return found

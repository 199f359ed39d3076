"""Files with one JSON object a line, such as metrics.jsonl."""

import errno
import json
from pathlib import Path
from typing import Any

from featurestore.system.user_file import require_own

MOST_BYTES = 256 << 20  # of a file; a training of a million epochs writes less


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Read the objects of a file in order.

    A crash can cut off a line while it is written. Such a line is not JSON and is left out; so is a damaged one, and any other that is
    not an object. Raises OSError, also for a pipe, for a link out of its folder, and for a file above MOST_BYTES.
    """
    require_own(path)
    if path.stat().st_size > MOST_BYTES:
        raise OSError(errno.EFBIG, f"larger than {MOST_BYTES:,} bytes", str(path))
    found = []
    for line in path.read_bytes().splitlines():
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            found.append(value)
    return found

"""metrics.jsonl: one line of figures for each epoch."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class MetricsFile:
    """Appends lines; a resumed run first drops those written after its checkpoint."""

    def __init__(self, path: Path, keep_to_step: int) -> None:
        self._path = path
        kept = [line for line in read(path) if line["step"] <= keep_to_step]
        path.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")

    def append(self, figures: Mapping[str, Any]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(figures) + "\n")


def read(path: Path) -> list[dict[str, Any]]:
    """Read all whole lines; a line cut off by a crash is left out."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return lines

"""Finished figures on disk, so that an interruption loses no more than the one being measured."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from featurestore.system.disk import append_text
from featurestore.system.json_lines import read_json_lines


class FinishedCells:
    """The finished cells of a table, one JSON line each; a run that was interrupted goes on from there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known = {
            _name(cell["key"]): float(cell["top1"])
            for cell in (read_json_lines(path) if path.exists() else [])
            if cell.keys() >= {"key", "top1"}
        }

    def get(self, key: dict[str, Any], measure: Callable[[], float]) -> float:
        """Return the figure under a key; measure and save it when it is missing. Raises DiskError."""
        name = _name(key)
        if name not in self._known:
            top1 = measure()
            # The line break comes first, because the last line may have been cut off.
            append_text(
                self.path, f"\n{json.dumps({'key': key, 'top1': top1})}", "free some space or choose another --out"
            )
            self._known[name] = top1
        return self._known[name]


def _name(key: dict[str, Any]) -> str:
    return json.dumps(key, sort_keys=True)

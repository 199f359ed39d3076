"""Finished figures on disk, so that an interruption loses no more than the one it falls into."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from featurestore.errors import DiskError


class Cells:
    """Finished cells on disk, one JSON line each: what an interruption leaves is gone on with."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[str, dict[str, Any]] = {}
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
            try:
                cell = json.loads(line)
                self._known[json.dumps(cell["key"], sort_keys=True)] = cell
            except (ValueError, KeyError, TypeError):
                continue  # cut off by a crash

    def get(self, key: dict[str, Any], measure: Callable[[], float]) -> float:
        """The figure under a key, measured and kept when it is not there. Raises DiskError."""
        name = json.dumps(key, sort_keys=True)
        if name not in self._known:
            cell = {"key": key, "top1": measure()}
            try:
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(f"\n{json.dumps(cell)}")  # the line break first: the last line may have been cut off
                    file.flush()
                    os.fsync(file.fileno())
            except OSError as error:
                raise DiskError(
                    f"{self.path} could not be written ({error.strerror or error}); free some space or choose another --out"
                ) from error
            self._known[name] = cell
        return float(self._known[name]["top1"])

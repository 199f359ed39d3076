"""Checkpoints: the whole state of a run in one file, replaced atomically."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from featurestore.errors import DiskError, TrainingError
from featurestore.system.disk import atomic_write

INTERVAL = 30.0  # seconds between checkpoints: a killed run loses no more than this


@dataclass
class Saver:
    """Saves the state that `contents` gives at `path`; does nothing where `writes` is False, in all processes but the first."""

    path: Path
    contents: Callable[[], dict[str, Any]]
    writes: bool = True
    _saved_at: float = field(default_factory=time.monotonic)

    @property
    def is_due(self) -> bool:
        return time.monotonic() - self._saved_at > INTERVAL

    def save(self) -> None:
        if self.writes:
            save(self.path, self.contents())
        self._saved_at = time.monotonic()


def save(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint. Raises TrainingError when the disk has no room; the checkpoint before it stays."""
    try:
        with atomic_write(path, "free some space, then go on with --resume") as file:
            try:
                torch.save(state, file)
            except RuntimeError as error:  # torch reports a full disk so
                raise OSError(error) from error
    except DiskError as error:
        raise TrainingError(f"checkpoint {error}") from error


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint, tensors and plain values only; raises TrainingError when it is missing or damaged."""
    if not path.exists():
        raise TrainingError(f"{path}: expected a checkpoint, found none; give the folder of a training run")
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return state
    except Exception as error:
        raise TrainingError(
            f"checkpoint {path} cannot be read ({type(error).__name__}); train again without --resume"
        ) from error

"""Checkpoints: the whole state of a run in one file, replaced atomically."""

import os
from pathlib import Path
from typing import Any

import torch

from featurestore.errors import TrainingError


def save(path: Path, state: dict[str, Any]) -> None:
    """Write `state` to a neighbouring file, flush it to disk, and only then give it its name."""
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        part.unlink(missing_ok=True)
        raise TrainingError(
            f"checkpoint {path} could not be written ({error}); free some space, then go on with --resume"
        ) from error


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint, tensors and plain values only; raises TrainingError when there is none or it is damaged."""
    if not path.exists():
        raise TrainingError(f"{path}: expected a checkpoint, found none; give the folder of a training run")
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return state
    except Exception as error:
        raise TrainingError(
            f"checkpoint {path} cannot be read ({type(error).__name__}); train again without --resume"
        ) from error

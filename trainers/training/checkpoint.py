"""Checkpoints: the whole state of a run in one file, replaced atomically."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import torch
from lightning_fabric.plugins import Precision
from torch import nn

from featurestore.errors import DiskError, TrainingError
from featurestore.system.disk import atomic_write
from featurestore.system.text import LONGEST, describe_error, first_line
from featurestore.system.user_file import require_own

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
            except RuntimeError as error:  # torch raises it when a write has failed, over the error that says why
                raise (error.__context__ if isinstance(error.__context__, OSError) else OSError(error)) from error
    except DiskError as error:
        raise TrainingError(f"checkpoint {error}") from error


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint, tensors and plain values only; raises TrainingError when it is missing, damaged or not of a training run.

    torch does not look at the checksums that the file holds, so they are checked before.
    """
    if not path.exists():
        raise TrainingError(f"{path}: expected a checkpoint, found none; give the folder of a training run")
    try:
        require_own(path)
        with ZipFile(path) as file:
            check_parts(file)
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise TrainingError(f"{path}: expected a checkpoint; {describe_error(error)}") from error
    except Exception as error:
        raise TrainingError(
            f"checkpoint {path} cannot be read ({type(error).__name__}); train again without --resume"
        ) from error
    if not _is_state(state):
        raise TrainingError(
            f"checkpoint {path}: expected that of a training run, found other content; give the folder that `featurestore train` wrote"
        )
    return dict(state)


def origin_of(state: Mapping[str, Any]) -> dict[str, Any]:
    """Say what the network of a checkpoint was made from: count and hash of its images, and the weights that it started from, if any."""
    weights = {"weights": state["weights"]} if "weights" in state else {}
    return {"count": state["images"], "sha256": state["sha256"], **weights}


def load_weights(network: nn.Module, weights: Mapping[str, Any], run: str | Path) -> None:
    """Load the weights of a run's checkpoint into a network; raises TrainingError when they do not fit it, or are not finite numbers."""
    try:
        network.load_state_dict(weights)
    except (RuntimeError, TypeError, AttributeError) as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise TrainingError(
            f"{run}: the weights of its checkpoint do not fit the network of its config.toml: {reason[:LONGEST]}; train again"
        ) from error
    if not all(torch.isfinite(value).all() for value in network.state_dict().values()):
        raise TrainingError(f"{run}: the weights of its checkpoint are not finite numbers; train again")


def load_state(
    network: nn.Module, optimizer: torch.optim.Optimizer, precision: Precision, state: Mapping[str, Any]
) -> None:
    """Load a checkpoint into a network, its optimizer and the scale of float16 gradients, to go on with its training.

    Raises TrainingError when it does not fit them. A run may go on in another precision: a scale that is there on one side only is left out.
    """
    load_weights(network, state["method"], "--resume")
    try:
        optimizer.load_state_dict(state["optimizer"])
        if state.get("scaler"):  # earlier versions wrote none
            precision.load_state_dict(state["scaler"])
    except (ValueError, KeyError, TypeError, RuntimeError, AttributeError) as error:
        raise TrainingError(
            f"--resume: the state of the optimizer in the checkpoint does not fit this training: {first_line(error)}; train again"
        ) from error


def check_parts(file: ZipFile) -> None:
    """Raise BadZipFile for a checkpoint that is damaged, or whose parts are compressed: torch writes none, and they may unpack to anything."""
    if any(part.compress_type != ZIP_STORED for part in file.infolist()):
        raise BadZipFile("its parts are compressed")
    if file.testzip() is not None:
        raise BadZipFile("it does not match its checksums")


def _is_state(state: object) -> bool:
    """Whether what was read has what every checkpoint of a training has."""
    if not isinstance(state, dict):
        return False
    numbers = all(type(state.get(name)) in (int, float) for name in ("step", "seconds", "images"))
    names = (state.get("sha256"), state.get("weights", ""))
    is_named = all(isinstance(name, str) and name.isprintable() and len(name) <= LONGEST for name in names)
    return numbers and is_named and isinstance(state.get("method"), Mapping)

"""metrics.jsonl: one line of figures for each epoch."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from featurestore.errors import ConfigError, TrainingError
from featurestore.system.disk import append_text, write_text
from featurestore.system.json_lines import read_json_lines
from featurestore.system.text import describe_error

ADVICE = "free some space, then go on with --resume"


class MetricsFile:
    """Appends lines; a resumed run first drops those written after its checkpoint. With `tensorboard`, also logs for TensorBoard."""

    def __init__(self, run: Path, keep_to_step: int, tensorboard: bool = False) -> None:
        self._path = run / "metrics.jsonl"
        before = read(self._path) if keep_to_step else []
        lines = [line for line in before if line["step"] <= keep_to_step]
        write_text(self._path, "".join(json.dumps(line) + "\n" for line in lines), ADVICE)
        self._board = _tensorboard(run) if tensorboard else None

    def append(self, figures: Mapping[str, Any]) -> None:
        """Add a line. Raises DiskError."""
        append_text(self._path, json.dumps(figures) + "\n", ADVICE)
        if self._board is not None:
            for name, value in figures.items():
                self._board.add_scalar(name, value, figures["step"])
            self._board.flush()


def read(path: Path) -> list[dict[str, Any]]:
    """Read the lines of a metrics.jsonl, without damaged ones; none where it does not exist. Raises TrainingError when it cannot be read."""
    try:
        lines = read_json_lines(path) if path.exists() else []
    except OSError as error:
        raise TrainingError(f"{path}: expected the figures of a training; {describe_error(error)}") from error
    return [
        line
        for line in lines
        if all(isinstance(line.get(name), (int, float)) for name in ("epoch", "step", "fraction"))
    ]


def _tensorboard(run: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ConfigError("tensorboard = true needs the package tensorboard: pip install tensorboard") from error
    folder = run / "tensorboard"
    if folder.is_symlink():
        raise ConfigError(f"{folder}: expected a folder for the logs of TensorBoard, found a link; remove it")
    return SummaryWriter(str(folder))

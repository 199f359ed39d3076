"""metrics.jsonl: one line of figures for each epoch."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from featurestore.errors import ConfigError


class MetricsFile:
    """Appends lines; a resumed run first drops those written after its checkpoint. With `tensorboard`, the same for TensorBoard."""

    def __init__(self, run: Path, keep_to_step: int, tensorboard: bool = False) -> None:
        self._path = run / "metrics.jsonl"
        kept = [line for line in read(self._path) if line["step"] <= keep_to_step]
        self._path.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
        self._board = _tensorboard(run) if tensorboard else None

    def append(self, figures: Mapping[str, Any]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(figures) + "\n")
        if self._board is not None:
            for name, value in figures.items():
                self._board.add_scalar(name, value, figures["step"])
            self._board.flush()


def _tensorboard(run: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ConfigError("tensorboard = true needs the package tensorboard: pip install tensorboard") from error
    return SummaryWriter(str(run / "tensorboard"))


def read(path: Path) -> list[dict[str, Any]]:
    """Read all whole lines; a line cut off by a crash is left out."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            lines.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return lines

"""The curves of a training run, read from the files that it leaves."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featurestore.encoders.encoder import fingerprint
from featurestore.errors import ConfigError

PANELS = {
    "loss": "loss",
    "lr": "learning rate",
    "teacher_momentum": "teacher momentum",
    "knn_top1": "k-NN top-1",
    "feature_std": "feature std (1: spread out, 0: collapsed)",
    "rankme": "RankMe (effective dimensions)",
}
WHOLE = {PANELS["feature_std"]: (0.0, 1.0)}  # what is to be seen of its axis whatever was measured


@dataclass(frozen=True, slots=True)
class Training:
    """What a run wrote down, epoch by epoch."""

    run: str  # name of its folder
    same_encoder: bool  # whether its encoder.onnx is the very file that made the vectors
    metrics: list[dict[str, Any]]

    def curves(self) -> dict[str, list[tuple[float, float]]]:
        """Epoch and value of each figure that was measured, by what it is called."""
        found = {
            title: [(float(m["epoch"]), float(m[name])) for m in self.metrics if m.get(name) is not None]
            for name, title in PANELS.items()
        }
        return {title: points for title, points in found.items() if points}


def read_training(run: Path, encoder: str) -> Training:
    """Read the metrics of a run for the report of an encoder, which is given by its fingerprint.

    Raises ConfigError when the folder is no run.
    """
    try:
        lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        metrics = [json.loads(line) for line in lines if line.strip()]
        whole = bool(metrics) and all(isinstance(m, dict) and isinstance(m.get("epoch"), int) for m in metrics)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"run {str(run)!r}: expected the folder of a training run with its metrics.jsonl, found: {error}; give the folder that `featurestore train` wrote"
        ) from error
    if not whole:
        raise ConfigError(
            f"run {str(run)!r}: expected a metrics.jsonl with a line an epoch, found none or others; give the folder that `featurestore train` wrote"
        )
    own = run / "encoder.onnx"
    return Training(run.resolve().name, own.is_file() and fingerprint(own) == encoder, metrics)

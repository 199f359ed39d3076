"""The curves of a training run, read from its files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from featurestore.encoders.encoder import fingerprint
from featurestore.errors import ConfigError
from featurestore.metrics.curve_titles import CURVE_TITLES
from featurestore.storage.encoder_files import encoder_file
from featurestore.system.json_lines import read_json_lines

LARGEST = 1e30  # a figure of a training, or the number of an epoch
WHOLE = {CURVE_TITLES["feature_std"]: (0.0, 1.0)}  # values that an axis always shows, whatever was measured


@dataclass(frozen=True, slots=True)
class Training:
    """The metrics of a run, epoch by epoch."""

    run: str  # name of its folder
    same_encoder: bool  # whether its encoder.onnx is the file that made the vectors
    metrics: list[dict[str, Any]]

    def curves(self) -> dict[str, list[tuple[float, float]]]:
        """Give the points (epoch, value) of each measured figure, by its title."""
        found = {
            title: [(float(m["epoch"]), float(m[name])) for m in self.metrics if is_number(m.get(name))]
            for name, title in CURVE_TITLES.items()
        }
        return {title: points for title, points in found.items() if points}


def is_number(value: object) -> bool:
    """Whether a figure can be drawn: a number, and neither NaN nor infinite."""
    return type(value) in (int, float) and abs(cast(float, value)) < LARGEST  # NaN is not


def read_training(run: Path, encoder: str) -> Training:
    """Read the metrics of a run for the report of an encoder, which is given by its fingerprint.

    Raises ConfigError when the folder does not hold a training run, EncoderError when its encoder lies elsewhere.
    """
    try:
        metrics = read_json_lines(run / "metrics.jsonl")
    except OSError as error:
        raise ConfigError(
            f"run {str(run)!r}: expected the folder of a training run with its metrics.jsonl, found: {error}; give the folder that `featurestore train` wrote"
        ) from error
    if not metrics or not all(is_number(line.get("epoch")) for line in metrics):
        raise ConfigError(
            f"run {str(run)!r}: expected a metrics.jsonl with one line for each epoch, found none or other lines; give the folder that `featurestore train` wrote"
        )
    own = encoder_file(run)
    return Training(run.resolve().name, own is not None and fingerprint(own) == encoder, metrics)

"""The preprocess file of a network from elsewhere, which `export FILE.onnx --preprocess` reads. Needs no torch."""

import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from featurestore.errors import ConfigError, EncoderError
from featurestore.imaging.preprocess import Preprocess
from featurestore.system.user_file import refuse_pipe

LAYOUTS = ("nchw", "nhwc")
POOLS = ("none", "cls", "mean")
BANDS = "bands"
REQUIRED = [field.name for field in fields(Preprocess) if field.name != BANDS]  # none of them is guessed


@dataclass(frozen=True)
class ForeignPreprocess:
    """The contents of a preprocess file: how to feed a network from elsewhere, and how to read its output."""

    record: Preprocess
    layout: str = "nchw"  # of the network's input
    output: str | None = None  # any value of the graph, by name; None: its only output
    pool: str = "none"  # of an output (B, T, D): "cls" is the first of T, "mean" all; of a map (B, D, h, w): "mean"


def read_preprocess(path: str | Path) -> ForeignPreprocess:
    """Read a preprocess file, TOML or (by its suffix) JSON; raises ConfigError when a key is missing or unknown, or a value wrong."""
    path = Path(path)
    try:
        refuse_pipe(path)
        text = path.read_text(encoding="utf-8")
        table = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"--preprocess {path}: expected a TOML or JSON file; {error}; see docs/guides/own-onnx.md for an example"
        ) from error
    optional = [field.name for field in fields(ForeignPreprocess)][1:]
    of_record = [*REQUIRED, BANDS]
    keys = set(table) if isinstance(table, dict) else set()
    if keys - {*of_record, *optional} or set(REQUIRED) - keys:
        raise ConfigError(
            f"--preprocess {path}: expected {', '.join(REQUIRED)}, and where needed {', '.join([BANDS, *optional])}; found {', '.join(sorted(keys)) or 'none of them'}; "
            "see docs/guides/own-onnx.md for an example"
        )
    if not _well_typed({"layout": LAYOUTS[0], "output": None, "pool": POOLS[0], BANDS: [1], **table}):
        raise ConfigError(
            f"--preprocess {path}: expected whole numbers as size and shorter_side, lists of numbers as mean, std and bands, texts as resize, interpolation and output, "
            f"a layout of {LAYOUTS} and a pool of {POOLS}; found {table}"
        )
    try:
        record = Preprocess.from_json({key: table[key] for key in of_record if key in table})
    except EncoderError as error:
        raise ConfigError(f"--preprocess {path}: {error}") from error
    if found := _meant_for_bytes(record):
        raise ConfigError(f"--preprocess {path}: {found}")
    if found := _exchanged(record):
        raise ConfigError(f"--preprocess {path}: {found}")
    return ForeignPreprocess(record, **{key: table[key] for key in optional if key in table})


def _meant_for_bytes(record: Preprocess) -> str | None:
    """Say what is meant when mean and std are those of pixels from 0 to 255; None when they fit pixels from 0 to 1."""
    if max(map(abs, record.mean)) <= 1 and max(record.std) <= 2:
        return None
    mean, std = ([round(value / 255, 4) for value in values] for values in (record.mean, record.std))
    return (
        f"expected mean and std of pixels from 0 to 1, found mean {list(record.mean)} and std {list(record.std)}; if these are for pixels from 0 to 255, "
        f"give mean = {mean} and std = {std}"
    )


def _exchanged(record: Preprocess) -> str | None:
    """Say that mean and std are exchanged, where no pixels from 0 to 1 can have them as given; None when they can."""

    def can_be(means: Sequence[float], stds: Sequence[float]) -> bool:
        return all(0 < std**2 <= mean * (1 - mean) for mean, std in zip(means, stds, strict=True))

    if can_be(record.mean, record.std) or not can_be(record.std, record.mean):
        return None
    return (
        f"pixels from 0 to 1 cannot have the mean {list(record.mean)} and the std {list(record.std)}; they seem to be exchanged: "
        f"give mean = {list(record.std)} and std = {list(record.mean)}"
    )


def _well_typed(table: dict[str, Any]) -> bool:
    return (
        all(type(table[key]) is int for key in ("size", "shorter_side"))
        and all(
            isinstance(table[key], list) and {type(x) for x in table[key]} <= {int, float}
            for key in ("mean", "std", BANDS)
        )
        and all(isinstance(table[key], str) for key in ("resize", "interpolation"))
        and isinstance(table["output"], str | None)
        and table["layout"] in LAYOUTS
        and table["pool"] in POOLS
    )

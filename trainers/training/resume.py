"""Going on with a run: the same settings, the same images."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from featurestore.errors import ConfigError, TrainingError
from trainers.config.machine import on_this_machine
from trainers.config.parse import read_toml
from trainers.config.resolve import resolve
from trainers.config.schema import Config
from trainers.config.settle import Settled
from trainers.training import checkpoint

MAY_CHANGE = {"device", "precision", "workers"}  # in a resumed run, which may be on another machine


def refuse_to_overwrite(out: Path) -> None:
    """Raise TrainingError when `out` holds a run already."""
    if (out / "checkpoint.pt").exists():
        raise TrainingError(f"{out} holds a training run already; go on with it by --resume, or choose another --out")


def resume(out: Path, given: Mapping[str, Any]) -> tuple[dict[str, Any], Settled]:
    """Read the checkpoint and the settings of the run in `out`.

    Raises TrainingError when there is no run, ConfigError when `given` would change what shapes its result.
    """
    state = checkpoint.load(out / "checkpoint.pt")
    saved = read_toml(out / "config.toml")
    before, now = resolve(saved), on_this_machine(resolve(saved, given))
    names = [f.name for f in dataclasses.fields(Config) if f.name not in MAY_CHANGE]
    changed = [name for name in names if getattr(now, name) != getattr(before, name)]
    if changed:
        raise ConfigError(
            f"--resume goes on with the settings of the run; these differ: {', '.join(changed)}; leave them out, or start a new training"
        )
    return state, Settled(now)


def check_same_images(state: Mapping[str, Any], identity: Mapping[str, Any], source: str | Path, out: Path) -> None:
    """Raise TrainingError when the images are not those of the checkpoint."""
    if (state["sha256"], state["images"]) != (identity["sha256"], identity["images"]):
        raise TrainingError(
            f"--resume: the images of {source} differ from those the run in {out} was trained on ({identity['images']} now, {state['images']} "
            "then, or changed pixels); resuming would mix two trainings: start a new training with another --out"
        )

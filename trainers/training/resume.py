"""Going on with a run: the same settings, the same images."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from featurestore.errors import ConfigError, TrainingError
from trainers.config.machine import on_this_machine
from trainers.config.parse import read_settings
from trainers.config.resolve import resolve
from trainers.config.schema import Config
from trainers.config.settle import Settled
from trainers.config.time_budget import so_many
from trainers.training import checkpoint, metrics_file

MAY_CHANGE = {"device", "precision", "workers"}  # in a resumed run, which may be on another machine


def refuse_to_overwrite(out: Path) -> None:
    """Raise TrainingError when `out` holds a run already."""
    if (out / "checkpoint.pt").exists():
        raise TrainingError(f"{out} holds a training run already; go on with it by --resume, or choose another --out")


def resume(out: Path, given: Mapping[str, Any]) -> tuple[dict[str, Any], Settled]:
    """Read the checkpoint and the settings of the run in `out`; a run that has ended may be given more epochs or minutes.

    Raises TrainingError when there is no run, ConfigError when `given` would change what shapes its result.
    """
    state = checkpoint.load(out / "checkpoint.pt")
    saved = read_settings(out)
    if "base" in saved and given.get("init") == saved["base"]:  # the same command again
        given = {key: value for key, value in given.items() if key not in ("init", "backbone")}
    before, now = resolve(saved), on_this_machine(resolve(saved, given))
    names = [f.name for f in dataclasses.fields(Config) if f.name not in MAY_CHANGE]
    changed = [name for name in names if getattr(now, name) != getattr(before, name)]
    unit = "minutes" if before.minutes else "epochs"
    has_ended = _has_ended(out, state)
    if changed == [unit]:
        began = {"step": state["step"], "seconds": state["seconds"]}
        return {**state, "began": began}, Settled(now, (_lengthen(before, now, unit, state, has_ended),))
    if changed in (["epochs"], ["minutes"]):
        raise ConfigError(
            f"--resume --{changed[0]}: the run in {out} has a length in {unit}; go on with more by --{unit}"
        )
    if changed:
        raise ConfigError(
            f"--resume goes on with the settings of the run; these differ: {', '.join(changed)}; leave them out, or start a new training"
        )
    length = getattr(now, unit)
    ended = f"the run has ended after {so_many(length, unit)}, and nothing is left to train; go on by --resume --{unit} {2 * length:g}"
    return state, Settled(now, (ended,) if has_ended else ())


def _has_ended(out: Path, state: Mapping[str, Any]) -> bool:
    """Whether the checkpoint is the last of its training."""
    lines = metrics_file.read(out / "metrics.jsonl")
    return bool(lines) and (lines[-1]["step"], lines[-1]["fraction"]) == (state["step"], 1.0)


def _lengthen(before: Config, now: Config, unit: str, state: Mapping[str, Any], has_ended: bool) -> str:
    """Say what a longer training does. Raises ConfigError when the run has not ended, or would not become longer."""
    done, wanted = getattr(before, unit), getattr(now, unit)
    option = f"--resume --{unit} {wanted:g}"
    if not has_ended:
        raise ConfigError(
            f"{option}: the learning rate of this run falls over {so_many(done, unit)}, which have not ended yet; finish them by --resume, then go on by {option}"
        )
    if wanted < done:
        raise ConfigError(
            f"{option}: the run has had {so_many(done, unit)} already; give the total, more than {done:g}"
        )
    o = now.optimizer
    peak = o.lr * min(now.batch_size, state["images"]) / 256
    rises = f"rises again to {peak:.3g} over the first {o.warmup:.0%}" if o.warmup else f"starts again at {peak:.3g}"
    return f"continues from {done:g} to {wanted:g} {unit}: the learning rate {rises}, and falls again to the end"


def is_made_longer(state: Mapping[str, Any]) -> bool:
    """Whether a longer training begins with this checkpoint."""
    return bool(state["step"]) and state.get("began", {}).get("step") == state["step"]


def check_same_images(state: Mapping[str, Any], identity: Mapping[str, Any], source: str | Path, out: Path) -> None:
    """Raise TrainingError when the images are not those of the checkpoint."""
    if (state["sha256"], state["images"]) != (identity["sha256"], identity["images"]):
        raise TrainingError(
            f"--resume: the images of {source} differ from those the run in {out} was trained on ({identity['images']} now, {state['images']} "
            "then, or changed pixels); resuming would mix two trainings: start a new training with another --out"
        )

"""What a training will do, decided before it begins: by what was given, by the images, by the machine."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from featurestore.progress import Listener
from featurestore.sources import ImageFile
from trainers.config import recipes
from trainers.config import time_budget as budget
from trainers.config.parse import merge, over_file, read_toml
from trainers.config.resolve import resolve
from trainers.config.schema import Config
from trainers.data.images import check_enough
from trainers.training.devices import found, settle


def plan(files: Sequence[ImageFile], given: Mapping[str, Any], listener: Listener) -> tuple[Config, list[str]]:
    """Resolve the settings of a training on `files`, and say in words what was chosen of it. Raises ConfigError, TrainingError when they are too few."""
    check_enough(len(files), "images")
    given = over_file(_network_of(given.get("init")), given)
    recipe = recipes.choose(len(files), found(given.get("device", "auto")))
    by_time, lines = budget.choose(files, given, recipe, listener)
    config = settle(resolve(by_time, given, recipe=recipe))
    if config.recipe == "auto":
        by_number = recipe(config.method, merge(by_time, given))
        if chosen := recipes.describe(by_number, config.to_table()):
            lines.append(f"recipe for {len(files):,} images of {config.image_size} px: {', '.join(chosen)}")
    return config, lines


def _network_of(init: Any) -> dict[str, Any]:
    """The network of the run that a training starts from."""
    if init in (None, "timm"):
        return {}
    theirs = read_toml(Path(str(init)) / "config.toml")
    return {key: theirs[key] for key in budget.NETWORK if key in theirs}

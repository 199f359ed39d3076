"""What a training will do, decided before it begins: by what was given, by the images, by the machine."""

from collections.abc import Mapping, Sequence
from typing import Any

from featurestore.progress import Listener
from featurestore.sources import ImageFile
from trainers import budget, recipes
from trainers.config import Config, resolve
from trainers.devices import found, settle


def plan(
    files: Sequence[ImageFile], given: Mapping[str, Any], settings: Mapping[str, Any], listener: Listener
) -> Config:
    """Resolve the settings of a training on `files`; the listener hears what was chosen. `settings` go over `given`. Raises ConfigError."""
    asked = {**given, **settings}
    recipe = recipes.choose(len(files), found(asked.get("device", "auto")))
    by_time = budget.choose(files, asked, recipe, listener)
    config = settle(resolve(by_time, given, settings, recipe=recipe))
    if config.recipe == "auto":
        by_number = recipe(config.method, {**by_time, **asked})
        if chosen := recipes.told(by_number, config.to_table()):
            listener.note(f"recipe for {len(files):,} images of {config.image_size} px: {', '.join(chosen)}")
    return config

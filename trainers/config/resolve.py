"""From layers of settings to one configuration, with every value in its range."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from featurestore.errors import ConfigError
from trainers.config.parse import build, merge
from trainers.config.recipes import Recipe
from trainers.config.schema import Config
from trainers.methods import METHODS
from trainers.optimization.optimizers import USUAL, OptimizerConfig
from trainers.settings import out_of_range

BLUR_FROM = 65  # pixels; blur removes what little a smaller image shows (SimCLR, appendix B.9, has none on CIFAR-10)


def resolve(*layers: Mapping[str, Any], recipe: Recipe | None = None) -> Config:
    """Merge layers of settings over the defaults and check them; later layers win.

    Raises ConfigError for an unknown method or key, a value of the wrong type or out of range.
    """
    given: dict[str, Any] = {}
    for layer in layers:
        given = merge(given, layer)
    name = method_of(given)
    table = merge(_defaults(name, given, recipe), given)
    table.pop("settings", None)
    table["method"] = name
    own: Any = build(METHODS[name].Settings, table.pop(name), name)
    config = build(Config, table, "", extra=(name,))
    if wrong := [*out_of_range(config), *_wrong_bands(config), *out_of_range(own, f"{name}.")]:
        raise ConfigError("; ".join(wrong))
    return dataclasses.replace(config, settings=own)


def method_of(given: Mapping[str, Any]) -> str:
    """Give the method that is given, by name or by its own settings; else the default. Raises ConfigError for an unknown one."""
    named = [name for name in METHODS if name in given]
    method = given.get("method", named[0] if len(named) == 1 else _default(Config, "method"))
    if method not in METHODS:
        raise ConfigError(f"method {method!r} is unknown; expected one of {', '.join(sorted(METHODS))}")
    return str(method)


def _wrong_bands(config: Config) -> list[str]:
    wrong = config.bands is not None and len(config.bands) not in (1, 3)
    return [f"bands = {list(config.bands or ())}: expected three or one, such as [4, 3, 2]"] * wrong


def _defaults(name: str, given: Mapping[str, Any], recipe: Recipe | None) -> dict[str, Any]:
    """Give the defaults that are not those of the schema: by method, by the size of the views, by recipe, by optimiser."""
    variant = METHODS[name].variants[name]
    table = merge(
        variant.top, {"augment": dict(variant.augment), "optimizer": dict(variant.optimizer), name: dict(variant.own)}
    )
    size = given.get("view_size") or given.get("image_size", _default(Config, "image_size"))
    if isinstance(size, int) and size < BLUR_FROM:
        table = merge(table, {"augment": {"blur": [0.0, 0.0]}})
    if recipe is not None and given.get("recipe", "auto") == "auto":
        table = merge(table, recipe(name, given))
    first = _default(OptimizerConfig, "name")
    match given.get("optimizer"):
        case {"name": str(other)} if other != table["optimizer"].get("name", first) and other in USUAL:
            # Where the recipe chose another optimiser than the method's own, and the method's own is asked for, its own values come back.
            own = variant.optimizer if other == variant.optimizer.get("name", first) else {}
            table = merge(table, {"optimizer": {**USUAL[other], **own}})
    return table


def _default(schema: type, key: str) -> Any:
    return next(field.default for field in dataclasses.fields(schema) if field.name == key)

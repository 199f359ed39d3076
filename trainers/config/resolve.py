"""From layers of settings to one configuration, with every value in its range."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

from featurestore.errors import ConfigError
from trainers.config.parse import build, merge
from trainers.config.schema import Config
from trainers.methods import METHODS
from trainers.optimization.optimizers import USUAL, OptimizerConfig

BLUR_FROM = 65  # pixels; below, blur removes what little there is (SimCLR, appendix B.9, leaves it out on CIFAR-10)  # pixels; below, blur removes what little there is (SimCLR, appendix B.9, leaves it out on CIFAR-10)


def resolve(
    *layers: Mapping[str, Any], recipe: Callable[[str, Mapping[str, Any]], Mapping[str, Any]] | None = None
) -> Config:
    """Merge layers of settings, later ones winning, over the recipe's and the method's defaults.

    `recipe` gives a layer from the method's name and what was given. Raises ConfigError for an unknown method or key, a value of the
    wrong type or out of range.
    """
    given: dict[str, Any] = {}
    for layer in layers:
        given = merge(given, layer)
    method = given.get("method", Config.__dataclass_fields__["method"].default)
    if method not in METHODS:
        raise ConfigError(f"method {method!r} is unknown; expected one of {', '.join(sorted(METHODS))}")
    entry = METHODS[method]
    size = given.get("view_size") or given.get("image_size", Config.__dataclass_fields__["image_size"].default)
    table: dict[str, Any] = merge(
        entry.top, {"augment": dict(entry.augment), "optimizer": dict(entry.optimizer), method: dict(entry.own)}
    )
    if isinstance(size, int) and size < BLUR_FROM:
        table = merge(table, {"augment": {"blur": [0.0, 0.0]}})
    if recipe is not None and given.get("recipe", "auto") == "auto":
        table = merge(table, recipe(method, given))
    usual = table["optimizer"].get("name", OptimizerConfig.__dataclass_fields__["name"].default)
    match given.get("optimizer"):
        case {"name": str(name)} if name != usual and name in USUAL:
            table = merge(table, {"optimizer": USUAL[name]})
    table = merge(table, given)
    table.pop("settings", None)
    own = table.pop(method)
    config = build(Config, table, "", extra=(method,))
    config = dataclasses.replace(config, settings=build(entry.method.Settings, own, method))
    _check_ranges(config)
    return config


def _check_ranges(config: Config) -> None:
    a, o = config.augment, config.optimizer
    shares = {
        f"augment.{n}": v
        for n in ("flip", "jitter", "grey", "blur", "solarize")
        for v in (getattr(a, n) if isinstance(getattr(a, n), tuple) else (getattr(a, n),))
    }
    wrong = [f"{n} = {v}: expected a probability in [0, 1]" for n, v in shares.items() if not 0 <= v <= 1]
    wrong += [
        f"{n} = {v}: expected at least {low}"
        for n, v, low in (
            ("image_size", config.image_size, 1),
            ("epochs", config.epochs, 1),
            ("batch_size", config.batch_size, 2),
            ("augment.aspect", a.aspect, 1),
            ("accumulate", config.accumulate, 1),
            ("devices", config.devices, 1),
            ("seed", config.seed, 0),
            ("workers", config.workers or 1, 1),
            ("view_size", 1 if config.view_size is None else config.view_size, 1),
        )
        if v < low
    ]
    if not 0 < a.crop_min <= a.crop_max <= 1:
        wrong.append(
            f"augment.crop_min = {a.crop_min}, crop_max = {a.crop_max}: expected 0 < crop_min <= crop_max <= 1"
        )
    if config.minutes is not None and not 0 < config.minutes < math.inf:
        wrong.append(f"minutes = {config.minutes}: expected a finite number above 0")
    if not 0 <= a.hue <= 0.5:
        wrong.append(f"augment.hue = {a.hue}: expected a share of the circle in [0, 0.5]")
    if o.lr <= 0 or not 0 <= o.warmup < 1 or o.weight_decay < 0:
        wrong.append("optimizer: expected lr > 0, 0 <= warmup < 1, weight_decay >= 0")
    wrong += _wrong_in_method(config)
    if wrong:
        raise ConfigError("; ".join(wrong))


MAY_BE_ZERO = {"local_crops", "frozen_epochs"}  # of the counts
SHARES: dict[str, Callable[[float], bool]] = {
    **dict.fromkeys(("weight", "momentum", "centre_momentum", "teacher_warmup"), lambda v: 0 <= v <= 1),
    **dict.fromkeys(("piece", "local_size", "local_min", "local_max"), lambda v: 0 < v <= 1),
    "gap": lambda v: 0 <= v < 1,
    "mask": lambda v: 0 < v < 1,
}


def _wrong_in_method(config: Config) -> list[str]:
    """What is out of range among the method's own settings, which share their names and what these mean."""
    wrong = []
    values = dataclasses.asdict(config.settings)
    for name, value in values.items():
        if type(value) is int and value < (least := 0 if name in MAY_BE_ZERO else 1):
            wrong.append(f"{config.method}.{name} = {value}: expected at least {least}")
        elif name.endswith(("temperature", "temperature_start")) and value <= 0:
            wrong.append(f"{config.method}.{name} = {value}: expected more than 0")
        elif name in SHARES and not SHARES[name](value):
            wrong.append(f"{config.method}.{name} = {value}: expected a share, between 0 and 1")
    if values.get("local_min", 0) > values.get("local_max", 1):
        wrong.append(f"{config.method}.local_min is above {config.method}.local_max")
    if values.get("decoder_dim", 0) % max(1, values.get("decoder_heads", 1)):
        wrong.append(f"{config.method}.decoder_dim must be a multiple of {config.method}.decoder_heads")
    return wrong

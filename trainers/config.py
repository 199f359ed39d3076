"""Configuration: frozen dataclasses, filled from defaults, a TOML file and `--set`; an unknown key fails."""

import dataclasses
import difflib
import hashlib
import json
import math
import tomllib
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import tomli_w

from featurestore.errors import ConfigError
from trainers.methods import METHODS
from trainers.optim import USUAL, OptimizerConfig
from trainers.views import AugmentConfig

T = TypeVar("T")
Device = Literal["auto", "cpu", "cuda", "mps"]
BLUR_FROM = 65  # pixels; below, blur removes what little there is (SimCLR, appendix B.9, leaves it out on CIFAR-10)


@dataclass(frozen=True, slots=True)
class Config:
    """All settings of a training run, resolved: nothing in it is decided later."""

    method: str = "byol"
    backbone: str = "resnet18"
    patch_size: int | None = None  # pixels, of a ViT; the smaller the better and the slower (DINO, section 5.1)
    drop_path: float = 0.0  # share of residual branches left out, in the student alone
    init: str | None = None  # weights to start from: "timm", or the folder of a run
    image_size: int = 32  # pixels, the side of the square the encoder sees
    # Pixels, of the views in training; by default image_size. Smaller is quicker, and no worse (FixRes, Touvron et al. 2019).
    view_size: int | None = None
    epochs: int = 100  # without effect when minutes is given
    minutes: float | None = None  # train for this long instead
    batch_size: int = 256  # images a step, over all devices, each with all its views
    accumulate: int = 1  # parts in which the batch goes through the network
    recipe: Literal["auto", "none"] = "auto"  # auto: what is not given is chosen by the number and size of the images
    seed: int = 0
    device: Device = "auto"
    precision: Literal["auto", "32-true", "bf16-mixed"] = "auto"
    devices: int = 1  # processes, one a device
    compile: bool = False  # the backbone, by torch.compile
    tensorboard: bool = False  # logs for TensorBoard beside metrics.jsonl
    stop_on_collapse: bool = False
    workers: int | None = None  # decode threads; default one a processor
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    settings: Any = None  # the method's own dataclass; its table carries the method's name

    def to_table(self) -> dict[str, Any]:
        """Give all settings as nested tables, the method's own under its name."""
        table = dataclasses.asdict(self)
        table[self.method] = table.pop("settings")
        return table

    def to_toml(self) -> str:
        """Write the configuration as TOML, as `--config` reads it."""
        return tomli_w.dumps(_without_none(self.to_table()))

    def hash(self) -> str:
        """A short hash of everything that shapes the result."""
        return hashlib.sha256(json.dumps(self.to_table(), sort_keys=True).encode()).hexdigest()[:16]


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


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one nested table over another."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def over_file(file: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Lay settings over those of a file or a run: its length gives way to theirs, and its size of views belongs to its image size.

    Of a file's minutes and epochs the minutes count. Raises ConfigError when the settings have both.
    """
    by_epochs, by_minutes = (settings.get(key) is not None for key in ("epochs", "minutes"))
    if by_epochs and by_minutes:
        raise ConfigError("epochs and minutes: found both; give how often the images are seen, or for how long")
    gone = {"minutes"} if by_epochs else {"epochs"} if by_minutes or "minutes" in file else set()
    if "image_size" in file and settings.get("image_size", file["image_size"]) != file["image_size"]:
        gone.add("view_size")
    return merge({key: value for key, value in file.items() if key not in gone}, settings)


def read_toml(path: str | Path) -> dict[str, Any]:
    """Read a TOML file; raises ConfigError when it is missing or malformed."""
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"configuration {str(path)!r}: {error.strerror}; expected a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"configuration {str(path)!r} is not valid TOML: {error}") from error


def parse_assignments(assignments: Sequence[str]) -> dict[str, Any]:
    """Turn `key=value` and `table.key=value` into a layer; the value is read as TOML, else taken as text."""
    layer: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set {assignment!r}: expected key=value, such as optimizer.lr=0.1")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
        for part in reversed(key.strip().split(".")):
            value = {part: value}
        layer = merge(layer, value)
    return layer


def build(cls: type[T], table: Mapping[str, Any], where: str, extra: tuple[str, ...] = ()) -> T:
    """Fill a dataclass from a table, checking every key and type; raises ConfigError."""
    if not isinstance(table, Mapping):
        raise ConfigError(f"setting {where!r}: expected a table of keys, found {table!r}")
    hints = typing.get_type_hints(cls)
    known = [f.name for f in dataclasses.fields(typing.cast(Any, cls)) if f.name != "settings"]
    values: dict[str, Any] = {}
    for key, value in table.items():
        name = f"{where}.{key}".lstrip(".")
        if key not in known:
            near = difflib.get_close_matches(key, [*known, *extra], n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join([*known, *extra])}"
            raise ConfigError(f"setting {name!r} is unknown; {hint}")
        hint_type = hints[key]
        if dataclasses.is_dataclass(hint_type):
            values[key] = build(typing.cast(type, hint_type), value, name)
        else:
            values[key] = _check_type(name, value, hint_type)
    return cls(**values)


def _check_type(name: str, value: Any, expected: Any) -> Any:
    origin, arguments = typing.get_origin(expected), typing.get_args(expected)
    if origin is Literal:
        if value in arguments:
            return value
        raise ConfigError(f"setting {name!r}: expected one of {', '.join(map(repr, arguments))}, found {value!r}")
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in arguments:
            return None
        return _check_type(name, value, next(a for a in arguments if a is not type(None)))
    if origin is tuple:
        if isinstance(value, (list, tuple)) and len(value) == len(arguments):
            return tuple(_check_type(name, v, a) for v, a in zip(value, arguments, strict=True))
        raise ConfigError(f"setting {name!r}: expected {len(arguments)} values such as [0.5, 0.5], found {value!r}")
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is expected:
        return value
    raise ConfigError(f"setting {name!r}: expected {expected.__name__}, found {value!r}")


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


def _without_none(table: dict[str, Any]) -> dict[str, Any]:
    return {k: _without_none(v) if isinstance(v, dict) else v for k, v in table.items() if v is not None}

"""Settings as nested tables: read from TOML and `--set`, merged, and checked by key and type."""

import dataclasses
import difflib
import tomllib
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from featurestore.errors import ConfigError
from featurestore.system.text import first_line
from featurestore.system.user_file import refuse_pipe, require_own

MOST_BYTES = 1 << 20  # of a file of settings

T = TypeVar("T")


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Merge two nested tables; where both have a value, that of `over` wins."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def over_file(file: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Merge settings over those of a file or a run.

    The file's epochs or minutes are ignored when the settings give a length, and its view_size when they give another image_size,
    for which it was not meant. A file with both minutes and epochs means the minutes. Raises ConfigError when the settings
    have both.
    """
    by_epochs, by_minutes = (settings.get(key) is not None for key in ("epochs", "minutes"))
    if by_epochs and by_minutes:
        raise ConfigError("epochs and minutes: found both; give either the number of passes or the time")
    ignored = {"minutes"} if by_epochs else {"epochs"} if by_minutes or "minutes" in file else set()
    if "image_size" in file and settings.get("image_size", file["image_size"]) != file["image_size"]:
        ignored.add("view_size")
    return merge({key: value for key, value in file.items() if key not in ignored}, settings)


def read_settings(run: Path) -> dict[str, Any]:
    """Read the settings of a training run; raises ConfigError when they are missing, malformed, or a link out of its folder."""
    return read_toml(run / "config.toml", require_own)


def read_toml(path: str | Path, check: Callable[[Path], None] = refuse_pipe) -> dict[str, Any]:
    """Read a TOML file that passes a check; raises ConfigError when it is missing or malformed."""
    try:
        check(Path(path))
        if Path(path).stat().st_size > MOST_BYTES:
            raise ConfigError(
                f"configuration {str(path)!r}: expected a TOML file of settings, found one of more than {MOST_BYTES:,} bytes"
            )
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"configuration {str(path)!r}: {error.strerror}; expected a TOML file") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"configuration {str(path)!r} is not valid TOML: {first_line(error)}") from error


def parse_assignments(assignments: Sequence[str]) -> dict[str, Any]:
    """Turn `key=value` and `table.key=value` into nested tables; a value that is not valid TOML is text. Raises ConfigError."""
    table: dict[str, Any] = {}
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
        table = merge(table, value)
    return table


def build(cls: type[T], table: Mapping[str, Any], where: str, extra: tuple[str, ...] = ()) -> T:
    """Fill a dataclass from a table and check every key and type; `extra` are keys to suggest as well. Raises ConfigError."""
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
    if origin is tuple and arguments[-1] is ...:
        if isinstance(value, (list, tuple)):
            return tuple(_check_type(name, v, arguments[0]) for v in value)
        raise ConfigError(f"setting {name!r}: expected a list, found {value!r}")
    if origin is tuple:
        if isinstance(value, (list, tuple)) and len(value) == len(arguments):
            return tuple(_check_type(name, v, a) for v, a in zip(value, arguments, strict=True))
        raise ConfigError(f"setting {name!r}: expected {len(arguments)} values such as [0.5, 0.5], found {value!r}")
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is expected:
        return value
    raise ConfigError(f"setting {name!r}: expected {expected.__name__}, found {value!r}")

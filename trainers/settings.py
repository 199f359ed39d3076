"""Settings: fields of frozen dataclasses that carry their own range.

Dataclass metadata and not pydantic: a mistyped key is checked in `config.parse` already, and ranges need no dependency.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

# The words for a limit, and the check of a value against it.
LIMITS: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "least": ("at least {}", lambda value, limit: value >= limit),
    "above": ("more than {}", lambda value, limit: value > limit),
    "most": ("at most {}", lambda value, limit: value <= limit),
    "below": ("less than {}", lambda value, limit: value < limit),
    "multiple_of": ("a multiple of {}", lambda value, limit: limit == 0 or value % limit == 0),
}


def setting(
    default: Any,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | str | None = None,
    below: float | None = None,
    multiple_of: str | None = None,
    usual: tuple[float, float] | None = None,
    unit: str | None = None,
    later: bool = False,
) -> Any:
    """Declare a dataclass field with a default and limits; a limit given as text is the name of another field.

    Each number of a tuple must be within the limits; None is not checked. Numbers outside of `usual` are allowed, but noted. `unit` says
    what a number means, in the message that refuses one. `later`: the setting is younger than runs that people have; with its default it
    is not part of a configuration's hash, so that theirs stay as they were.
    """
    limits = {"least": least, "above": above, "most": most, "below": below, "multiple_of": multiple_of}
    metadata = {**limits, "usual": usual, "unit": unit, "later": later or None}
    return dataclasses.field(default=default, metadata={k: v for k, v in metadata.items() if v is not None})


def out_of_range(settings: Any, where: str = "") -> list[str]:
    """List what is out of range in a dataclass of settings, one message a setting; `where` goes before the names."""
    messages = []
    values = {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)}
    for field in dataclasses.fields(settings):
        value = values[field.name]
        if dataclasses.is_dataclass(value):
            messages += out_of_range(value, f"{where}{field.name}.")
            continue
        limits = limits_of(field)
        wrong = [number for number in _numbers(value) if not _is_within(number, limits, values)]
        if wrong:
            words = [LIMITS[key][0].format(_in_words(limit, values, where)) for key, limit in limits.items()]
            unit = f" ({field.metadata['unit']})" if "unit" in field.metadata else ""
            hint = _as_percent(wrong[0], limits)
            messages.append(f"{where}{field.name} = {_shown(value)}: expected {' and '.join(words)}{unit}{hint}")
    return messages


def unusual(settings: Any, where: str = "") -> list[str]:
    """List what is allowed but unusual in a dataclass of settings, one message a setting; `where` goes before the names."""
    messages = []
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            messages += unusual(value, f"{where}{field.name}.")
        elif "usual" in field.metadata:
            low, high = field.metadata["usual"]
            if not all(low <= number <= high for number in _numbers(value)):
                messages.append(f"{where}{field.name} = {_shown(value)} is unusual: trainings have {low:g} to {high:g}")
    return messages


def hashed(settings: Any) -> dict[str, Any]:
    """Give a dataclass of settings as a table, without those that are declared as later and have their default."""
    table = {}
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if not ("later" in field.metadata and value == field.default):
            table[field.name] = hashed(value) if dataclasses.is_dataclass(value) else value
    return table


def limits_of(field: "dataclasses.Field[Any]") -> dict[str, Any]:
    """Give the limits of a field by their keys in LIMITS."""
    return {key: limit for key, limit in field.metadata.items() if key in LIMITS}


def _numbers(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else () if value is None else (value,)


def _is_within(number: Any, limits: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    return all(
        LIMITS[key][1](number, values[limit] if isinstance(limit, str) else limit) for key, limit in limits.items()
    )


def _as_percent(number: Any, limits: Mapping[str, Any]) -> str:
    """Say what a number means as a percentage, where shares are expected."""
    is_share = limits.get("most", limits.get("below")) == 1
    return f"; {number:g} percent is {number / 100:g}" if is_share and 1 < number <= 100 else ""


def _in_words(limit: Any, values: Mapping[str, Any], where: str) -> str:
    return f"{where}{limit} ({values[limit]})" if isinstance(limit, str) else str(limit)


def _shown(value: Any) -> str:
    return str(list(value)) if isinstance(value, tuple) else str(value)

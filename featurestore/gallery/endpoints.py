"""How an address of the API is declared, once: routing, checking of what is given, `openapi.json` and the reference all read it."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from featurestore.errors import ConfigError
from featurestore.gallery.schemas import Schema, described, misfit, shown

Place = Literal["path", "query", "body"]
NUMBERS = {"true": True, "false": False, "1": True, "0": False}


@dataclass(frozen=True)
class Parameter:
    """One value that a request gives: in the path, in the query, or as a member of the JSON body."""

    name: str
    schema: Schema
    meaning: str
    default: Any = None
    required: bool = False
    place: Place = "query"


@dataclass(frozen=True)
class Endpoint:
    """One address of the API: what it takes, what it gives, and the function that answers."""

    method: str
    path: str  # below /api/v1, with {parameters}; the last may be {name:any}, which takes slashes
    summary: str
    gives: str  # the answer, in words and JSON
    answer: Callable[..., Any]  # of the gallery and the parameters by name; runs in a thread
    parameters: tuple[Parameter, ...] = ()
    image_body: bool = False  # the body is an image, given as `data`
    changes_store: bool = False  # refused by --read-only
    workers: Literal["answers", "pictures", "searches", "labels"] = "answers"  # the threads that it runs in

    @property
    def has_json_body(self) -> bool:
        return any(parameter.place == "body" for parameter in self.parameters)


def from_texts(endpoint: Endpoint, path: Mapping[str, str], query: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Read the parameters in the path and the query. Raises ConfigError for an unknown, repeated, missing or wrong one."""
    values: dict[str, Any] = {}
    known = {p.name: p for p in endpoint.parameters if p.place == "query"}
    for name, text in query:
        if name not in known:
            raise ConfigError(
                f"unknown parameter {shown(name)}; {endpoint.path} takes {', '.join(known) or 'none in its query'}"
            )
        if name in values:
            raise ConfigError(f"the parameter {name} is given twice; give it once")
        values[name] = _from_text(known[name], text)
    for parameter in endpoint.parameters:
        if parameter.place == "path":
            values[parameter.name] = _from_text(parameter, path[parameter.name])
    return _complete(endpoint, values, ("path", "query"))


def from_body(endpoint: Endpoint, body: Any) -> dict[str, Any]:
    """Read the members of a JSON body. Raises ConfigError for an unknown, missing or wrong one."""
    known = {p.name: p for p in endpoint.parameters if p.place == "body"}
    if not isinstance(body, dict):
        raise ConfigError(f"the body: expected a JSON object with {', '.join(known)}")
    for name, value in body.items():
        if name not in known:
            raise ConfigError(f"unknown member {shown(name)} of the body; expected {', '.join(known)}")
        nothing = value is None and not known[name].required
        if not nothing and (found := misfit(known[name].schema, value, name)) is not None:
            raise ConfigError(found)
    return _complete(endpoint, {name: value for name, value in body.items() if value is not None}, ("body",))


def _complete(endpoint: Endpoint, values: dict[str, Any], places: Sequence[Place]) -> dict[str, Any]:
    own = [p for p in endpoint.parameters if p.place in places]
    missing = [p.name for p in own if p.required and p.name not in values]
    if missing:
        raise ConfigError(f"{endpoint.method} {endpoint.path} needs {', '.join(missing)}")
    return {p.name: p.default for p in own} | values


def _from_text(parameter: Parameter, text: str) -> Any:
    value = _parsed(parameter.schema, text)
    if misfit(parameter.schema, value, parameter.name) is not None:
        raise ConfigError(f"{parameter.name}: expected {described(parameter.schema)}, found {shown(text)}")
    return value


def _parsed(schema: Schema, text: str) -> Any:
    """Turn text of an address into a value; None when it cannot be one."""
    match schema["type"]:
        case "integer":
            return int(text) if re.fullmatch(r"-?[0-9]{1,19}", text, re.ASCII) else None
        case "number":
            return (
                float(text)
                if re.fullmatch(r"-?[0-9.]{1,30}(e-?[0-9]{1,3})?", text, re.ASCII) and text.count(".") < 2
                else None
            )
        case "boolean":
            return NUMBERS.get(text)
        case "array":
            return [_parsed(schema["items"], part) for part in text.split(",") if part]
    return text

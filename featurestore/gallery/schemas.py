"""What a value of a request must be, in JSON Schema: checked here, and written into `openapi.json` as it is."""

import math
from collections.abc import Mapping
from typing import Any

from featurestore.system.text import shortened

# Of JSON Schema: type (or a type and null), minimum, maximum, enum, minLength, maxLength, items, maxItems, properties, required,
# additionalProperties (false, or the schema of their values), maxProperties.
Schema = Mapping[str, Any]
SHOWN = 100  # characters of a wrong value in a message
INTEGER: Schema = {"type": "integer"}
TEXT: Schema = {"type": "string"}
TEXT_OR_NULL: Schema = {"type": ["string", "null"]}
FLAG: Schema = {"type": "boolean"}
ITEM: Schema = {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}


def list_of(schema: Schema, most: int) -> Schema:
    """Describe a list of at most so many values."""
    return {"type": "array", "items": schema, "maxItems": most}


def object_of(required: Mapping[str, Schema], others: Mapping[str, Schema]) -> Schema:
    """Describe an object with these members and no others."""
    members = {**required, **others}
    return {"type": "object", "properties": members, "required": list(required), "additionalProperties": False}


def map_of(schema: Schema, most: int) -> Schema:
    """Describe an object with at most so many members of any names."""
    return {"type": "object", "properties": {}, "required": [], "additionalProperties": schema, "maxProperties": most}


def misfit(schema: Schema, value: Any, place: str) -> str | None:
    """Say in words where and how a value is not as its schema says, or None when it is; place: the name of the value."""
    kind = schema["type"]
    if kind == "array" and isinstance(value, list) and len(value) <= schema["maxItems"]:
        parts = [(schema["items"], part, f"{place}[{n}]") for n, part in enumerate(value)]
    elif kind == "object" and isinstance(value, dict) and _has_members(schema, value):
        others = schema["additionalProperties"]
        parts = [
            (schema["properties"].get(name, others), part, f"{place}.{shortened(name, SHOWN)}")
            for name, part in value.items()
        ]
    elif _is_simple(schema, value):
        return None
    else:
        return f"{place}: expected {described(schema)}, found {shown(value)}"
    return next((found for part in parts if (found := misfit(*part)) is not None), None)


def _has_members(schema: Schema, value: Mapping[str, Any]) -> bool:
    may_have_others = schema["additionalProperties"] is not False and len(value) <= schema["maxProperties"]
    return (may_have_others or value.keys() <= schema["properties"].keys()) and value.keys() >= set(schema["required"])


def _is_simple(schema: Schema, value: Any) -> bool:
    """Whether a value is the number, flag or text that its schema asks for."""
    if value not in schema.get("enum", [value]):
        return False
    match schema["type"]:
        case [kind, "null"]:
            return value is None or _is_simple({**schema, "type": kind}, value)
        case "integer":
            fits = isinstance(value, int) and not isinstance(value, bool)
        case "number":
            fits = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf
        case "boolean":
            return isinstance(value, bool)
        case "string":
            least, most = schema.get("minLength", 0), schema.get("maxLength", math.inf)
            return isinstance(value, str) and least <= len(value) <= most
        case _:
            return False
    return fits and schema.get("minimum", -math.inf) <= value <= schema.get("maximum", math.inf)


def described(schema: Schema) -> str:
    """Say in words what a value must be."""
    if "enum" in schema:
        return " or ".join(map(str, schema["enum"]))
    least, most = schema.get("minimum"), schema.get("maximum")
    between = f" from {least} to {most}" if least is not None and most is not None and most < 2**63 - 1 else ""
    match schema["type"]:
        case [kind, "null"]:
            return f"{described({**schema, 'type': kind})} or null"
        case "integer":
            return f"a whole number{between}"
        case "number":
            return f"a number{between}"
        case "boolean":
            return "true or false"
        case "array":
            return f"at most {schema['maxItems']} of: {described(schema['items'])}"
        case "object" if schema["additionalProperties"]:
            return f"an object of at most {schema['maxProperties']} members, each: {described(schema['additionalProperties'])}"
        case "object":
            needed = schema["required"]
            perhaps = [name for name in schema["properties"] if name not in needed]
            others = f" and perhaps {', '.join(perhaps)}" if perhaps else ""
            return f"an object with {', '.join(needed)}{others}"
        case "string" if "maxLength" in schema:
            return f"{schema.get('minLength', 0)} to {schema['maxLength']} characters"
    return "text"


def shown(value: Any) -> str:
    """Show a wrong value, shortened."""
    return shortened(repr(value), SHOWN)

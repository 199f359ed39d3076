"""The description of the API in OpenAPI 3.1, made from the same declarations that route and check the requests."""

import re
from collections.abc import Sequence
from typing import Any

from featurestore.gallery.endpoints import Endpoint, Parameter
from featurestore.version import __version__

BASE = "/api/v1"
ERROR = {
    "type": "object",
    "properties": {"error": {"type": "object", "properties": {"type": {"type": "string"}, "message": {"type": "string"}}}},
}  # fmt: skip


def document(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """Describe endpoints as an OpenAPI document."""
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(f"{BASE}{public_path(endpoint)}", {})[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {"title": "featurestore", "version": __version__},
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "security": [{"token": []}],
        "paths": paths,
    }


def public_path(endpoint: Endpoint) -> str:
    """Write a path as its readers know it, without what the router needs."""
    return re.sub(r":\w+\}", "}", endpoint.path)


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    answers = {"200": {"description": endpoint.gives}, "default": {"description": "an error in words", "content": {"application/json": {"schema": ERROR}}}}  # fmt: skip
    found: dict[str, Any] = {"summary": endpoint.summary, "responses": answers}
    outside = [_parameter(p) for p in endpoint.parameters if p.place != "body"]
    if outside:
        found["parameters"] = outside
    inside = [p for p in endpoint.parameters if p.place == "body"]
    if inside:
        schema = {"type": "object", "properties": {p.name: _schema(p) for p in inside}, "additionalProperties": False}
        required = [p.name for p in inside if p.required]
        content = {"application/json": {"schema": schema | ({"required": required} if required else {})}}
        found["requestBody"] = {"required": True, "content": content}
    if endpoint.image_body:
        found["requestBody"] = {"required": True, "content": {"image/*": {}}}
    return found


def _parameter(parameter: Parameter) -> dict[str, Any]:
    schema = _schema(parameter)
    meaning = schema.pop("description")
    lists = {"style": "form", "explode": False} if parameter.schema["type"] == "array" else {}
    place, needed = parameter.place, parameter.required
    return {"name": parameter.name, "in": place, "required": needed, "description": meaning, "schema": schema, **lists}


def _schema(parameter: Parameter) -> dict[str, Any]:
    default = {} if parameter.default is None else {"default": parameter.default}
    return {**parameter.schema, **default, "description": parameter.meaning}

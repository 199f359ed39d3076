"""The addresses of the REST API, read from their declarations."""

from docs.generator.text import escape, table
from featurestore.gallery.app import ENDPOINTS
from featurestore.gallery.endpoints import Endpoint, Parameter
from featurestore.gallery.openapi import BASE, public_path
from featurestore.gallery.schemas import described


def rest() -> str:
    """Every address with its parameters and its answer."""
    return "\n\n".join(_address(endpoint) for endpoint in ENDPOINTS)


def _address(endpoint: Endpoint) -> str:
    parts = [f"### {endpoint.method} {BASE}{public_path(endpoint)}", endpoint.summary]
    if endpoint.image_body:
        parts.append("Body: the bytes of an image.")
    if endpoint.parameters:
        parts.append(table(("parameter", "in", "value", "meaning", "default"), map(_parameter, endpoint.parameters)))
    return "\n\n".join([*parts, f"Gives: {endpoint.gives}."])


def _parameter(parameter: Parameter) -> tuple[str, ...]:
    default = "required" if parameter.required else "" if parameter.default in (None, []) else f"`{parameter.default}`"
    value = described(parameter.schema)
    return f"`{parameter.name}`", parameter.place, escape(value), escape(parameter.meaning), default

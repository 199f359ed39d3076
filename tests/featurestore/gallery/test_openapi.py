"""The description of the API is that of the addresses, and every parameter is checked as it says."""

import inspect
import re
from typing import Any

import pytest
from starlette.routing import Route

from featurestore.gallery.app import ENDPOINTS, build_app
from featurestore.gallery.endpoints import Endpoint
from featurestore.gallery.openapi import BASE, document, public_path
from tests.featurestore.gallery.client import Client


def test_every_address_is_described_and_every_description_answers(client: Client) -> None:
    described = client.get("/api/v1/openapi.json")
    assert described == document(ENDPOINTS)
    told = {(method.upper(), path) for path, methods in described["paths"].items() for method in methods}
    routes = build_app(client.gallery, client.access, with_page=False).routes
    routed = {
        (method, re.sub(r":\w+\}", "}", route.path))
        for route in routes
        if isinstance(route, Route)
        for method in route.methods or ()
        if method != "HEAD"
    }
    assert told == routed
    assert len(told) == len(ENDPOINTS)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda e: f"{e.method} {e.path}")
def test_a_function_takes_what_its_address_says(endpoint: Endpoint) -> None:
    takes = list(inspect.signature(endpoint.answer).parameters)[1:]
    told = [parameter.name for parameter in endpoint.parameters] + ["data"] * endpoint.image_body
    assert sorted(takes) == sorted(told)
    in_path = re.findall(r"\{(\w+)", endpoint.path)
    assert in_path == [parameter.name for parameter in endpoint.parameters if parameter.place == "path"]
    assert all(parameter.required for parameter in endpoint.parameters if parameter.place == "path")


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda e: f"{e.method} {e.path}")
def test_words_stand_at_everything(endpoint: Endpoint) -> None:
    assert endpoint.summary.endswith(".")
    assert endpoint.gives
    assert all(parameter.meaning.endswith(".") for parameter in endpoint.parameters)


def test_the_document_is_openapi() -> None:
    """Its form, as far as it can be told without a validator of the specification."""
    described = document(ENDPOINTS)
    assert described["openapi"] == "3.1.0"
    for path, methods in described["paths"].items():
        assert path.startswith(BASE)
        for operation in methods.values():
            assert {"200", "default"} <= set(operation["responses"])
            inside = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
            assert inside == set(re.findall(r"\{(\w+)\}", path))
            schemas: list[dict[str, Any]] = [p["schema"] for p in operation.get("parameters", [])]
            assert {schema["type"] for schema in schemas} <= {"integer", "string", "number", "array", "boolean"}
    assert "{name}" in public_path(next(e for e in ENDPOINTS if "columns" in e.path))

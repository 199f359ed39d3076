"""What the server answers: JSON that gives every text back exactly, and errors with the sentences of the command line."""

import json
import math
from typing import Any

from starlette.responses import Response

from featurestore.errors import (
    DiskError,
    FeatureStoreError,
    StoreBusy,
    StoreCorrupt,
    StoreNotFound,
    StoreUntrusted,
    TooManyOpenFiles,
)

STATUS: tuple[tuple[type[FeatureStoreError], int], ...] = (  # the first that fits; every other error is the caller's: 400
    (StoreBusy, 503), (TooManyOpenFiles, 503), (StoreNotFound, 500), (StoreCorrupt, 500), (StoreUntrusted, 500), (DiskError, 500),
)  # fmt: skip


class NotFound(FeatureStoreError):
    """There is nothing at this address."""


class Refused(FeatureStoreError):
    """The request is understood, and not allowed as the server runs."""


def as_json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Answer with JSON in ASCII, so that every text arrives as it is, whatever characters it has."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"), default=str)
    no_store = {"Cache-Control": "no-store"}
    return Response(text.encode("ascii"), status, {**no_store, **(headers or {})}, "application/json")


def as_error(kind: str, message: str, status: int) -> Response:
    """Answer with an error in words."""
    return as_json({"error": {"type": kind, "message": message}}, status)


def error_answer(error: FeatureStoreError) -> Response:
    """Answer with an error of ours."""
    if isinstance(error, NotFound):
        return as_error("NotFound", str(error), 404)
    if isinstance(error, Refused):
        return as_error("Refused", str(error), 409)
    return as_error(type(error).__name__, str(error), next((n for kind, n in STATUS if isinstance(error, kind)), 400))


def plain(value: Any) -> Any:
    """Turn a value of the catalog into one of JSON, which has no number that is not finite: these become text."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, list):
        return [plain(part) for part in value]
    return value

"""The application: every address with its checks, and every error as JSON."""

import json
import re
import traceback
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import anyio
from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from featurestore.errors import ConfigError, FeatureStoreError
from featurestore.gallery import images, items, jobs, labels, learning, search, settings, thumbs, uploads
from featurestore.gallery.access import Access, AccessMiddleware
from featurestore.gallery.answers import Refused, as_error, as_json, error_answer
from featurestore.gallery.endpoints import Endpoint, from_body, from_texts
from featurestore.gallery.gallery import Gallery
from featurestore.gallery.openapi import BASE, document
from featurestore.gallery.page_files import page_file
from featurestore.system.cpus import available_cpus
from featurestore.system.terminal import print_lines

ENDPOINTS: tuple[Endpoint, ...] = (
    *items.ENDPOINTS, *thumbs.ENDPOINTS, *images.ENDPOINTS, *search.ENDPOINTS, *uploads.ENDPOINTS, *labels.ENDPOINTS, *settings.ENDPOINTS, *learning.ENDPOINTS, *jobs.ENDPOINTS,
    Endpoint("GET", "/openapi.json", "This description, for programs.", "an OpenAPI 3.1 document", lambda gallery: document(ENDPOINTS)),
)  # fmt: skip
JSON_BYTES, IMAGE_BYTES = 4 << 20, uploads.MOST_BYTES  # of a body
BODY_SECONDS = 60.0  # in which a body must arrive
CODES = {404: "NotFound", 405: "MethodNotAllowed", 413: "ContentTooLarge"}


class _AnyText(Convertor[str]):
    """Part of a path that may hold slashes and line breaks, as names of columns may."""

    regex = r"[\s\S]+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


class _PagePath(_AnyText):
    """Any path that is not one of the API."""

    regex = r"(?!api(?:/|$))[\s\S]*"


register_url_convertor("any", _AnyText())
register_url_convertor("page", _PagePath())


class Workers:
    """How many requests of each kind are worked on at a time; the others wait, so that slow ones do not take every thread."""

    def __init__(self) -> None:
        cpus = available_cpus()
        self._limits = {
            "answers": anyio.CapacityLimiter(8),
            "pictures": anyio.CapacityLimiter(2 * cpus + 4),  # some wait for a disk or a network
            "searches": anyio.CapacityLimiter(cpus),  # more would only wait for one another
            "labels": anyio.CapacityLimiter(64),  # they wait for one another, and are written together
        }

    async def run(self, kind: str, work: Callable[[], Any]) -> Any:
        """Do the work in a thread."""
        return await run_sync(work, limiter=self._limits[kind])


def build_app(
    gallery: Gallery, access: Access, with_page: bool = True, endpoints: Sequence[Endpoint] = ENDPOINTS
) -> Starlette:
    """Build the application of a gallery. with_page: otherwise only the API answers."""
    workers = Workers()
    routes = [
        Route(
            f"{BASE}{endpoint.path}",
            _handler(gallery, workers, endpoint),
            methods=[endpoint.method],
        )
        for endpoint in endpoints
    ]
    if with_page:
        routes.append(Route("/{path:page}", page_file))
    app = Starlette(
        routes=routes,
        middleware=[Middleware(AccessMiddleware, access=access)],
        exception_handlers={HTTPException: _http_error},
    )
    app.router.redirect_slashes = False
    return app


def _handler(gallery: Gallery, workers: Workers, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
    async def handle(request: Request) -> Response:
        try:
            if endpoint.changes_store and gallery.read_only:
                raise Refused("the server was started with --read-only; start it without to change the store")
            values = from_texts(endpoint, request.path_params, request.query_params.multi_items())
            if endpoint.image_body:
                values["data"] = await _image(request)
            elif endpoint.has_json_body:
                values |= from_body(endpoint, await _json(request))
            answer = await workers.run(endpoint.workers, partial(endpoint.answer, gallery, **values))
            return answer if isinstance(answer, Response) else await run_sync(as_json, answer)
        except _WrongType as error:
            return as_error("UnsupportedMediaType", str(error), 415)
        except TimeoutError:
            return as_error("Timeout", f"expected the whole body within {BODY_SECONDS:g} s; send it again", 408)
        except FeatureStoreError as error:
            return error_answer(error)
        except (HTTPException, ClientDisconnect):
            raise
        except Exception:  # a mistake of ours; its message may repeat what a file says
            print_lines(traceback.format_exc().split("\n"), err=True)
            return as_error("Mistake", "a mistake of featurestore; the server has printed where it lies", 500)

    return handle


class _WrongType(Exception):
    """A body of another type than this address takes. A page of another site can send some types without being asked whether it may."""


async def _image(request: Request) -> bytes:
    if not request.headers.get("content-type", "").lower().startswith("image/"):
        raise _WrongType("expected the bytes of an image, with Content-Type image/…")
    return await _body(request, IMAGE_BYTES)


async def _json(request: Request) -> Any:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise _WrongType("expected JSON, with Content-Type application/json")
    try:
        return json.loads(await _body(request, JSON_BYTES), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"the body: expected JSON in UTF-8; {str(error)[:200]}") from error


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


async def _body(request: Request, most: int) -> bytes:
    """Read a body of bounded size, in bounded time; one that says that it is larger is not read at all."""
    stated = request.headers.get("content-length", "0")
    if not re.fullmatch(r"[0-9]{1,15}", stated, re.ASCII) or int(stated) > most:
        raise HTTPException(413)
    parts, size = [], 0
    with anyio.fail_after(BODY_SECONDS):
        async for part in request.stream():
            parts.append(part)
            size += len(part)
            if size > most:
                raise HTTPException(413)
    return b"".join(parts)


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    words = {
        404: "there is nothing at this address",
        405: f"this address does not take {request.method[:20]}",
        413: f"the body is too large; at most {IMAGE_BYTES >> 20} MiB of a picture and {JSON_BYTES >> 20} MiB of JSON are taken",
    }
    answer = as_error(
        CODES.get(error.status_code, "Error"), words.get(error.status_code, error.detail), error.status_code
    )
    answer.headers.update(error.headers or {})
    return answer

"""A client of the application in this process: requests as a program sends them, or as a browser does."""

import asyncio
import json
import time
from typing import Any

import httpx

from featurestore.gallery.access import Access
from featurestore.gallery.app import ENDPOINTS, build_app
from featurestore.gallery.endpoints import Endpoint
from featurestore.gallery.gallery import Gallery

PORT = 8000
ORIGIN = f"http://127.0.0.1:{PORT}"
PAGE = {"sec-fetch-site": "same-origin"}  # what a browser says of a request of the gallery's own page


class Client:
    """Sends requests to the application of a gallery. As a program by default: with the token as Bearer."""

    def __init__(
        self,
        gallery: Gallery,
        host: str = "127.0.0.1",
        with_page: bool = True,
        endpoints: tuple[Endpoint, ...] = ENDPOINTS,
    ) -> None:
        self.access = Access(host, PORT)
        self.gallery = gallery
        self._app = build_app(gallery, self.access, with_page, endpoints)
        self.bearer = {"authorization": f"Bearer {self.access.token}"}
        self.cookie = {"cookie": f"{self.access.cookie}={self.access.session}"}

    def send(
        self, method: str, path: str, headers: dict[str, str] | list[tuple[str, str]] | None = None, **rest: Any
    ) -> httpx.Response:
        """Send a request with just these headers."""

        async def sent() -> httpx.Response:
            transport = httpx.ASGITransport(self._app)
            async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
                return await client.request(method, path, headers=headers, **rest)

        return asyncio.run(sent())

    def get(self, path: str, status: int = 200, **params: Any) -> Any:
        """Get JSON as a program."""
        answer = self.send("GET", path, self.bearer, params=params or None)
        assert answer.status_code == status, answer.text
        return answer.json()

    def post(self, path: str, body: Any, status: int = 200) -> Any:
        """Send JSON as a program."""
        answer = self.send("POST", path, {**self.bearer, "content-type": "application/json"}, content=json.dumps(body))
        assert answer.status_code == status, answer.text
        return answer.json()


def load_items(client: Client) -> None:
    """Wait until the items are in memory."""
    deadline = time.monotonic() + 10
    while client.gallery.items.now() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def message(answer: Any) -> str:
    """The sentence of an error."""
    return str((answer if isinstance(answer, dict) else answer.json())["error"]["message"])

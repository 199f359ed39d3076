"""Who may ask the server: the token, the cookie, the name in Host, the origin of writes, and what a browser may do with the answers.

A page of another site runs in the user's browser and can send requests to this machine. It cannot read answers, which no header allows;
it does not know the token; its requests carry no cookie (SameSite=Strict); and it cannot pretend to be our page (Host, Origin, Sec-Fetch-Site).
"""

import hashlib
import hmac
import ipaddress
import re
import secrets
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from urllib.parse import parse_qsl, quote, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from featurestore.gallery.answers import as_error
from featurestore.system.text import shortened

READING = ("GET", "HEAD")
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
EVERYWHERE = ("0.0.0.0", "::")
HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\[\]:/@\s]+)(?::([0-9]{1,5}))?")
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; font-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
}
NEEDS_TOKEN = "expected the token of this server; open the address that `featurestore serve` printed, or send the header Authorization: Bearer TOKEN"


@dataclass(frozen=True)
class Access:
    """What a server asks for."""

    host: str  # the address that it is bound to
    port: int
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    session: str = field(default_factory=lambda: secrets.token_urlsafe(32))  # the value of the cookie

    @property
    def cookie(self) -> str:
        return f"featurestore-{self.port}"  # browsers send cookies to all ports of a machine

    @property
    def address(self) -> str:
        """The address that is printed, with its token."""
        host = "127.0.0.1" if self.host in EVERYWHERE else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/?token={self.token}"

    def knows_host(self, header: str | None) -> bool:
        """Whether a Host header names this server. A name that leads here by the answer of a stranger's DNS is none of ours."""
        found = HOST.fullmatch(header or "")
        if found is None:
            return False
        name = found[1].lower()
        if name in LOOPBACK or name == self.host.lower() or name == f"[{self.host.lower()}]":
            return True
        return self.host in EVERYWHERE and (_is_address(name.strip("[]")) or name == socket.gethostname().lower())


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class AccessMiddleware:
    """Answers requests that may not come in, and adds the headers that keep a browser within bounds to every answer."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        answer = self._refusal(scope)
        await (answer or self._app)(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> Response | None:
        """Give the answer to a request that does not come in; None for one that does."""
        headers, access = Headers(scope=scope), self._access
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not access.knows_host(hosts[0]):
            named = ", ".join(shortened(host, 100) for host in hosts) or "none"
            return as_error(
                "Forbidden",
                f"expected a Host header that names this server, such as 127.0.0.1:{access.port}, found {named}",
                403,
            )
        bearer = headers.getlist("authorization")
        if bearer:
            if len(bearer) == 1 and bearer[0][:7].lower() == "bearer " and _same(bearer[0][7:].strip(), access.token):
                return None
            return _needs_token(scope)
        if _is_foreign(headers):
            return as_error(
                "Forbidden",
                "expected a request of the gallery's own page, found one of another site (Sec-Fetch-Site)",
                403,
            )
        if scope["method"] == "GET" and (redirect := self._by_token(scope, hosts[0])) is not None:
            return redirect
        if not self._has_cookie(headers):
            return _needs_token(scope)
        if scope["method"] not in READING and not _is_own_page(headers, f"http://{hosts[0]}"):
            return as_error(
                "Forbidden",
                f"expected a request of the gallery's own page: Sec-Fetch-Site same-origin, or Origin http://{hosts[0]}; found others, or none",
                403,
            )
        return None

    def _by_token(self, scope: Scope, host: str) -> Response | None:
        """Answer an address with the token: with the cookie, and the same address without it."""
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        tokens = [value for name, value in query if name == "token"]
        if not tokens:
            return None
        if len(tokens) > 1 or not _same(tokens[0], self._access.token):
            return _needs_token(scope)
        path = "/" + quote(scope["path"].lstrip("/\\"), safe="/:@!$&'()*+,;=~-._")  # not //elsewhere
        left = urlencode([pair for pair in query if pair[0] != "token"])
        answer = _leading_to(f"{path}?{left}" if left else path, Headers(scope=scope))
        answer.set_cookie(self._access.cookie, self._access.session, path="/", httponly=True, samesite="strict")
        return answer

    def _has_cookie(self, headers: Headers) -> bool:
        found = [cookie_parser(line) for line in headers.getlist("cookie")]
        return any(_same(cookies.get(self._access.cookie, ""), self._access.session) for cookies in found)


def _same(given: str, wanted: str) -> bool:
    """Compare in a time that says nothing about where they differ."""
    return hmac.compare_digest(*(hashlib.sha256(text.encode(errors="replace")).digest() for text in (given, wanted)))


def _is_foreign(headers: Headers) -> bool:
    """Whether a browser says that a page of another site, or of another port, asks for something other than to be shown."""
    sites = headers.getlist("sec-fetch-site")
    shown = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    return any(site not in ("same-origin", "none") for site in sites) and not shown


def _is_own_page(headers: Headers, origin: str) -> bool:
    """Whether a browser says that our own page asks. Older browsers send an Origin only."""
    sites, origins = headers.getlist("sec-fetch-site"), headers.getlist("origin")
    if any(given != origin for given in origins):
        return False
    return all(site in ("same-origin", "none") for site in sites) if sites else bool(origins)


def _leading_to(path: str, headers: Headers) -> Response:
    """Send a browser on. Where a page of another site led here, it would not send the cookie on a redirect, so a page of ours leads on."""
    no_store = {"Cache-Control": "no-store"}
    if headers.get("sec-fetch-site") in (None, "none", "same-origin"):
        return RedirectResponse(path, 303, no_store)
    leads_on = f'<!doctype html><title>featurestore</title><meta http-equiv="refresh" content="0; url={escape(path, quote=True)}">'
    return HTMLResponse(leads_on, 200, no_store)


def _needs_token(scope: Scope) -> Response:
    if scope["path"].startswith("/api/"):
        return as_error("Unauthorized", NEEDS_TOKEN, 401)
    return PlainTextResponse(f"featurestore: {NEEDS_TOKEN}\n", 401, {"Cache-Control": "no-store"})


def warnings_of(host: str) -> Sequence[str]:
    """Say what it means to listen at an address that other machines reach."""
    if host in ("localhost", "127.0.0.1", "::1") or (_is_address(host) and ipaddress.ip_address(host).is_loopback):
        return []
    return [
        f"--host {host}: other machines can reach this server. Whoever has the address with its token sees every picture and can change labels; "
        "what is sent is not encrypted, so the token can be read on the way. Use it in a network that you trust, or forward a port by ssh instead"
    ]

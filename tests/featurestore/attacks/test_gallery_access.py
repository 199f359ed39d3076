"""Who may ask the gallery, and what a browser is allowed to do with its answers."""

import hmac
import json
import re
from urllib.parse import quote

import httpx
import pytest

from featurestore import FeatureStore
from featurestore.gallery import access
from featurestore.gallery.app import ENDPOINTS
from featurestore.gallery.gallery import Gallery
from featurestore.gallery.thumb_cache import ThumbCache
from tests.featurestore.gallery.client import ORIGIN, PAGE, PORT, Client, message

STORE = "/api/v1/store"
SEARCH = "/api/v1/search"
JSON = {"content-type": "application/json"}
ADDRESSES = ["/", "/index.html", *sorted({f"/api/v1{re.sub(r'{[^}]*}', '1', e.path)}" for e in ENDPOINTS})]


# -- the token


@pytest.mark.parametrize("path", ADDRESSES)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT", "TRACE", "PROPFIND", "get"])
def test_without_the_token_nothing_answers(client: Client, path: str, method: str) -> None:
    answer = client.send(method, path, PAGE)
    assert answer.status_code == 401
    assert "cookie" not in str(answer.headers).lower()
    assert method == "HEAD" or "the token of this server" in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer "}, {"authorization": "Bearer x"}, {"authorization": "Bearer {token}x"}, {"authorization": "Basic {token}"},
        {"authorization": "{token}"}, {"authorization": "Bearer {session}"}, {"cookie": "featurestore-{port}="}, {"cookie": "featurestore-{port}={token}"},
        {"cookie": "featurestore-{other}={session}"}, {"cookie": "featurestore={session}"}, {"cookie": "Featurestore-{port}={session}"},
        {"cookie": "featurestore-{port}={session}x"}, {"x-token": "{token}"}, {"authorization": "Bearer wrong", "cookie": "featurestore-{port}={session}"},
    ],
)  # fmt: skip
def test_a_wrong_token_or_a_cookie_of_another_port_is_refused(client: Client, headers: dict[str, str]) -> None:
    known = {"token": client.access.token, "session": client.access.session, "port": PORT, "other": PORT + 1}
    filled = {name: value.format(**known) for name, value in headers.items()}
    assert client.send("GET", STORE, filled).status_code == 401


def test_the_token_in_the_address_becomes_a_cookie_and_vanishes_from_it(client: Client) -> None:
    answer = client.send("GET", f"/?view=map&token={client.access.token}&where=a%20%3D%20%27%26%27")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/?view=map&where=a+%3D+%27%26%27"
    cookie = answer.headers["set-cookie"]
    assert cookie.split("; ")[0] == f"featurestore-{PORT}={client.access.session}"
    assert {part.lower() for part in cookie.split("; ")[1:]} == {"httponly", "path=/", "samesite=strict"}
    assert client.access.token not in str(answer.headers)
    assert client.send("GET", STORE, {"cookie": cookie.split("; ")[0]}).status_code == 200


def test_a_link_of_another_site_with_the_token_leads_on_by_a_page(client: Client) -> None:
    """A browser sends a strict cookie neither with such a request nor with the redirect that answers it."""
    linked = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    where = quote('"><script>alert(1)</script>')
    answer = client.send("GET", f"/?token={client.access.token}&where={where}", linked)
    assert (answer.status_code, "set-cookie" in answer.headers) == (200, True)
    [target] = re.findall(r'content="0; url=([^"]*)"', answer.text)
    assert target == "/?where=%22%3E%3Cscript%3Ealert%281%29%3C%2Fscript%3E"
    assert client.access.token not in answer.text
    assert (
        client.send("GET", f"/?token={client.access.token}", {**linked, "sec-fetch-dest": "image"}).status_code == 403
    )


@pytest.mark.parametrize(
    ("method", "query"),
    [
        ("GET", "token=wrong"), ("GET", "token={token}&token={token}"), ("GET", "token=wrong&token={token}"), ("GET", "token="), ("GET", "Token={token}"),
        ("GET", "token[]={token}"), ("GET", "token={session}"), ("POST", "token={token}"), ("HEAD", "token={token}"), ("DELETE", "token={token}"),
    ],
)  # fmt: skip
def test_the_token_counts_once_and_only_where_a_page_is_opened(client: Client, method: str, query: str) -> None:
    filled = query.format(token=client.access.token, session=client.access.session)
    answer = client.send(method, f"{STORE}?{filled}", {**PAGE, **JSON})
    assert (answer.status_code, "set-cookie" in answer.headers) == (401, False)


@pytest.mark.parametrize(
    "path",
    ["//evil.example/", "/%5Cevil.example/", "///evil.example", "/%2F%2Fevil.example", "/%0d%0aSet-Cookie:%20a=b"],
)
def test_the_token_leads_to_no_other_site(client: Client, path: str) -> None:
    answer = client.send("GET", f"{ORIGIN}{path}?token={client.access.token}")
    location = answer.headers["location"]
    assert re.match(r"/(?![/\\])", location)
    assert "\n" not in location
    assert httpx.URL(ORIGIN).join(location).host == "127.0.0.1"


def test_tokens_cannot_be_guessed_and_are_compared_in_constant_time(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(client.access.token) >= 43
    assert client.access.token != client.access.session
    compared: list[object] = []

    def compare(*given: object) -> bool:
        compared.append(given)
        return False

    monkeypatch.setattr(hmac, "compare_digest", compare)
    assert client.send("GET", STORE, client.bearer).status_code == 401
    assert client.send("GET", STORE, client.cookie).status_code == 401
    assert client.send("GET", f"/?token={client.access.token}").status_code == 401
    assert len(compared) == 3


# -- DNS rebinding


@pytest.mark.parametrize("host", ["127.0.0.1", f"127.0.0.1:{PORT}", "localhost:1", "LOCALHOST", "[::1]:8000", "[::1]"])
def test_a_host_of_this_machine_is_known(client: Client, host: str) -> None:
    assert client.send("GET", STORE, {**client.bearer, "host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8000", "127.0.0.1@evil.example", "evil.example:127.0.0.1", "127.0.0.2", "0.0.0.0", "",
     "127.0.0.1:8000, evil.example", "localhost:8000/evil", "[::2]", "::1", "127.1", "2130706433", "0x7f.1", "localhost.", "127.0.0.1:", "127.0.0.1:99999999", "10.0.0.1:8000"],
)  # fmt: skip
def test_another_name_for_this_machine_is_refused_even_with_the_token(client: Client, host: str) -> None:
    for headers in (client.bearer, client.cookie):
        answer = client.send("GET", STORE, {**headers, "host": host})
        assert (answer.status_code, answer.json()["error"]["type"]) == (403, "Forbidden")
        assert "expected a Host header that names this server" in message(answer)


def test_two_hosts_are_refused(client: Client) -> None:
    hosts = [("host", "127.0.0.1"), ("host", "evil.example")]
    assert client.send("GET", STORE, [*client.bearer.items(), *hosts]).status_code == 403


def test_a_server_for_other_machines_knows_the_name_that_it_was_bound_to(shared: FeatureStore) -> None:
    gallery = Gallery(shared, ThumbCache(None))
    own = Client(gallery, "photos.lan")
    assert own.send("GET", STORE, {**own.bearer, "host": "photos.lan:8000"}).status_code == 200
    assert own.send("GET", STORE, {**own.bearer, "host": "10.0.0.1:8000"}).status_code == 403
    every = Client(gallery, "0.0.0.0")
    assert every.send("GET", STORE, {**every.bearer, "host": "10.0.0.1:8000"}).status_code == 200
    assert every.send("GET", STORE, {**every.bearer, "host": "[fe80::1]"}).status_code == 200
    assert every.send("GET", STORE, {**every.bearer, "host": "evil.example"}).status_code == 403
    assert access.warnings_of("127.0.0.1") == access.warnings_of("::1") == access.warnings_of("localhost") == []
    for host in ("0.0.0.0", "photos.lan", "192.168.1.5"):
        [said] = access.warnings_of(host)
        assert "not encrypted" in said


# -- requests that a page of another site makes with the user's browser (CSRF)

BODY = json.dumps({"items": [1]})
FOREIGN = [
    "http://evil.example", "https://127.0.0.1:8000", "http://127.0.0.1:8001", "http://127.0.0.1", "http://127.0.0.1:8000.evil.com", "http://127.0.0.1:80001",
    "http://localhost:8000", "http://127.0.0.1:8000/", "HTTP://127.0.0.1:8000", "null", "", "http://evil.example http://127.0.0.1:8000",
    "http://user@127.0.0.1:8000", "file://", "http://127.0.0.1:8000\\.evil.com",
]  # fmt: skip


def write(client: Client, headers: dict[str, str]) -> httpx.Response:
    return client.send("POST", SEARCH, {**client.cookie, **JSON, **headers}, content=BODY)


def test_the_own_page_may_write(client: Client) -> None:
    for headers in (
        {"sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "none"},
        {"origin": ORIGIN},
        {"sec-fetch-site": "same-origin", "origin": ORIGIN},
    ):
        assert write(client, headers).status_code == 200


@pytest.mark.parametrize("origin", FOREIGN)
def test_an_origin_that_is_not_exactly_ours_may_not_write(client: Client, origin: str) -> None:
    for more in ({}, {"sec-fetch-site": "same-origin"}):
        answer = write(client, {"origin": origin, **more})
        assert (answer.status_code, answer.json()["error"]["type"]) == (403, "Forbidden")


@pytest.mark.parametrize("site", ["cross-site", "same-site", "", "SAME-ORIGIN", "same-origin, cross-site", "evil"])
def test_what_a_browser_says_of_another_site_counts(client: Client, site: str) -> None:
    assert write(client, {"sec-fetch-site": site, "origin": ORIGIN}).status_code == 403
    assert client.send("GET", STORE, {**client.cookie, "sec-fetch-site": site}).status_code == 403


def test_a_write_that_says_nothing_of_its_page_is_refused(client: Client) -> None:
    assert "found others, or none" in message(write(client, {}))
    assert client.send("DELETE", "/api/v1/jobs/1", client.cookie).status_code == 403
    assert (
        client.send("POST", "/api/v1/uploads", {**client.cookie, "content-type": "image/png"}, content=b"x").status_code
        == 403
    )


def test_a_program_with_the_token_needs_no_origin(client: Client) -> None:
    answer = client.send("POST", SEARCH, {**client.bearer, **JSON}, content=BODY)
    assert answer.status_code == 200
    assert (
        client.send(
            "POST", SEARCH, {**client.bearer, **JSON, "origin": "http://evil.example"}, content=BODY
        ).status_code
        == 200
    )


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "",
        "application/jsonp",
        "image/png",
    ],
)
def test_what_a_form_can_send_is_no_json(client: Client, kind: str) -> None:
    answer = client.send("POST", SEARCH, {**client.cookie, **PAGE, "content-type": kind}, content=BODY)
    assert (answer.status_code, answer.json()["error"]["type"]) == (415, "UnsupportedMediaType")


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_no_other_site_may_read(client: Client, method: str) -> None:
    asked = {"origin": "http://evil.example", "access-control-request-method": "POST", "access-control-request-headers": "authorization", "access-control-request-private-network": "true"}  # fmt: skip
    for headers in (client.bearer, client.cookie, {}):
        answer = client.send(method, SEARCH, {**headers, **asked, **JSON}, content=BODY if method == "POST" else None)
        assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("name", ["x-http-method-override", "x-http-method", "x-method-override", "_method"])
def test_no_header_changes_the_method(client: Client, name: str) -> None:
    assert client.send("GET", "/api/v1/jobs/1", {**client.bearer, name: "DELETE"}).json()["error"]["type"] == "NotFound"
    answer = client.send("GET", SEARCH, {**client.cookie, **PAGE, name: "POST"}, params={"_method": "POST"})
    assert answer.status_code == 405


@pytest.mark.parametrize("headers", [{"x-forwarded-host": "127.0.0.1:8000"}, {"forwarded": "host=127.0.0.1:8000"}, {"x-forwarded-for": "127.0.0.1"}, {"x-original-url": "/"}])  # fmt: skip
def test_nobody_is_believed_for_what_a_proxy_would_say(client: Client, headers: dict[str, str]) -> None:
    assert client.send("GET", STORE, headers).status_code == 401
    assert client.send("GET", STORE, {**client.bearer, **headers, "host": "evil.example"}).status_code == 403


def test_head_is_a_read_without_a_body(client: Client) -> None:
    answer = client.send("HEAD", STORE, client.cookie)
    assert (answer.status_code, answer.content) == (200, b"")
    assert client.send("OPTIONS", STORE, {**client.cookie, **PAGE}).status_code == 405


# -- headers


@pytest.mark.parametrize("path", [*ADDRESSES, "/nosuch", "/api/v1/nosuch", "/api/v1/items?limit=x"])
def test_every_answer_keeps_the_browser_within_bounds(client: Client, path: str) -> None:
    for headers in (client.bearer, client.cookie, {}, {**client.bearer, "host": "evil.example"}):
        answer = client.send("GET", path, headers)
        policy = answer.headers["content-security-policy"]
        assert policy in (access.CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox")
        assert "unsafe" not in policy
        assert policy.startswith("default-src 'none'")
        for name, value in access.HEADERS.items():
            assert name == "Content-Security-Policy" or answer.headers[name] == value
        assert "server" not in answer.headers
        assert answer.headers.get("content-type", "") in ("", "application/json", "text/html; charset=utf-8", "text/plain; charset=utf-8", "image/webp", "image/png")  # fmt: skip


def test_nothing_is_kept_by_a_cache_but_pictures_by_their_content(client: Client) -> None:
    for path in (STORE, "/api/v1/items", "/api/v1/items/1", "/api/v1/nosuch"):
        assert client.send("GET", path, client.bearer).headers["cache-control"] == "no-store"

"""The files of the page, as they lie in the package. Only what is listed there is given, so no path leads anywhere else."""

import hashlib
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from featurestore.gallery.answers import as_error

FOLDER = Path(__file__).parent / "page"
TYPES = {
    ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml",
    ".png": "image/png", ".woff2": "font/woff2", ".txt": "text/plain; charset=utf-8", ".md": "text/plain; charset=utf-8",
}  # fmt: skip


def page_file(request: Request) -> Response:
    """Answer with a file of the page; the browser asks each time whether it has changed."""
    files = {
        path.relative_to(FOLDER).as_posix(): path
        for path in FOLDER.rglob("*")
        if path.suffix in TYPES and path.is_file()
    }
    wanted = request.path_params["path"] or "index.html"
    if wanted not in files:
        return as_error("NotFound", "there is no such file of the page", 404)
    data = files[wanted].read_bytes()
    tag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    headers = {"Cache-Control": "no-cache", "ETag": tag}
    if request.headers.get("if-none-match") == tag:
        return Response(b"", 304, headers)
    return Response(data, 200, headers, TYPES[files[wanted].suffix])

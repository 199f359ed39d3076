"""Answers of web servers: limited in time and size, as one may send a byte a second or never end, and what their errors say."""

import sys
from functools import cache
from typing import Any

from featurestore.errors import ImageError, ImageUnread
from featurestore.system.read_errors import check_open_files
from featurestore.system.text import describe_error

REQUEST_SECONDS = 300.0  # longest that one request may take
MOST_BYTES = 1 << 30  # of one answer, unpacked
PART_BYTES = 1 << 20  # of an answer that are looked at a time
GONE, REFUSED = (404, 410), (401, 403)  # statuses that say something about a file, and not about the server


def client_options() -> dict[str, Any]:
    """Return what fsspec hands to its client of http and https."""
    import aiohttp  # slow to import, and most sources are local

    return {"response_class": _answer_class(), "timeout": aiohttp.ClientTimeout(total=REQUEST_SECONDS)}


def as_local_error(error: Exception) -> Exception:
    """Turn the error of a request into what a disk would raise: FileNotFoundError, PermissionError, or ImageUnread. Others are given back.

    fsspec calls every answer that is no success a missing file when it asks for size and time.
    """
    cause = error.__cause__ if isinstance(error, FileNotFoundError) else None
    found = cause if isinstance(cause, Exception) else error
    if "aiohttp" not in sys.modules:  # slow to import, and without it this is no error of a request
        return error
    import aiohttp

    if isinstance(found, TimeoutError):
        return found
    if isinstance(found, aiohttp.ClientResponseError) and found.status in GONE:
        return FileNotFoundError(str(found.request_info.url))
    if isinstance(found, aiohttp.ClientResponseError) and found.status in REFUSED:
        return PermissionError(str(found.request_info.url))
    if not isinstance(found, aiohttp.ClientError) or isinstance(found, aiohttp.InvalidURL):
        return error
    check_open_files(found)
    return ImageUnread(f"not read now: {describe_error(found)}")


@cache
def _answer_class() -> type:
    import aiohttp

    class Answer(aiohttp.ClientResponse):
        """An answer whose body is refused once it is too large, whatever its headers say and however it is packed."""

        async def read(self) -> bytes:
            if self._body is None:
                parts, size = [], 0
                async for part in self.content.iter_chunked(PART_BYTES):
                    parts.append(part)
                    size += len(part)
                    if size > MOST_BYTES:
                        self.close()
                        raise ImageError(f"the server sends more than {MOST_BYTES:,} bytes")
                self._body = b"".join(parts)
            return await super().read()

    return Answer

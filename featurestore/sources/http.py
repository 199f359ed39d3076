"""Answers of web servers, limited in time and size: one may send a byte a second, or never end."""

from functools import cache
from typing import Any

from featurestore.errors import ImageError

REQUEST_SECONDS = 300.0  # longest that one request may take
MOST_BYTES = 1 << 30  # of one answer, unpacked
PART_BYTES = 1 << 20  # of an answer that are looked at a time


def client_options() -> dict[str, Any]:
    """Return what fsspec hands to its client of http and https."""
    import aiohttp  # slow to import, and most sources are local

    return {"response_class": _answer_class(), "timeout": aiohttp.ClientTimeout(total=REQUEST_SECONDS)}


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

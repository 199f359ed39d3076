"""Pictures that could not be made, remembered for a short time, so that a page of broken ones is quick."""

import time

from featurestore.gallery.contents import Content
from featurestore.sources.lru_cache import LruCache

SECONDS = 10.0
KEPT = 10_000


class Failures:
    """Reasons by content and file."""

    def __init__(self) -> None:
        self._kept = LruCache[tuple[float, str]](KEPT)

    def get(self, content: Content) -> str | None:
        found = self._kept.get(content)
        return found[1] if found is not None and time.monotonic() - found[0] < SECONDS else None

    def put(self, content: Content, reason: str) -> None:
        self._kept.put(content, (time.monotonic(), reason))

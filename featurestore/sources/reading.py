"""From a path that a source gave to the bytes of the image."""

import os
import re
from pathlib import Path

from featurestore.errors import ImageError, SourceError
from featurestore.sources import filesystem as access
from featurestore.sources.containers import read_member
from featurestore.sources.formats import CONTAINER_SUFFIX

WITHIN = re.compile(rf"(.+?{CONTAINER_SUFFIX})::(.*)", re.DOTALL | re.IGNORECASE)


def read(path: str | Path, mtime_ns: int | None = None) -> bytes:
    """Read an image whole, by any path that a source gives; for several threads. Raises ImageError with the reason in words.

    Rows of a table have no name of their own: given the `mtime_ns` they were listed with, those of a table written since are refused.
    """
    text = os.fspath(path)
    try:
        within = WITHIN.fullmatch(text)
        if within is None or (not access.is_url(text) and os.path.lexists(text)):
            return access.read_whole(text)
        return read_member(within[1], within[2], mtime_ns)
    except SourceError as error:
        raise ImageError(str(error)) from error

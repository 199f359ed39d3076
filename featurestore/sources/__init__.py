"""Sources: where images come from, on disk, in containers and behind URLs.

`open_source` takes what a user names, a folder, a file, a list, a tar, a table or a URL, and gives a `Source`; iterating
it gives an `ImageFile` per image, or a `Failure` for a place that cannot be listed. `read` takes the path of any of them
and gives the bytes. The room also reads the tables in which users write about images: `user_table`, `keyed_table`, `label_file`.
"""

from featurestore.sources.base import Failure, ImageFile, Source
from featurestore.sources.open import find, is_missing, open_source, open_sources, read
from featurestore.sources.relative_paths import absolute_paths, locate, resolved_paths

__all__ = [
    "Failure",
    "ImageFile",
    "Source",
    "absolute_paths",
    "find",
    "is_missing",
    "locate",
    "open_source",
    "open_sources",
    "read",
    "resolved_paths",
]

"""Find the images of all sources of a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from featurestore.catalog import Scope
from featurestore.catalog.diff import FOUND
from featurestore.errors import SourceError
from featurestore.progress import Listener
from featurestore.sources import Failure, open_source
from featurestore.system.spool import Spool


@dataclass(frozen=True)
class Found:
    """What the sources of one run hold."""

    files: Spool  # rows of FOUND
    has_duplicates: bool  # several sources may hold the same file
    unlisted: list[Failure]  # places that could not be listed
    scopes: list[Scope]


def find_files(sources: Sequence[str | Path], listener: Listener) -> Found:
    """List all sources. Raises SourceError when one is missing, or when there is no image in any."""
    listener.start("looking for images", None)
    opened = [open_source(source) for source in sources]
    files, unlisted, scopes = Spool(FOUND), dict[str, Failure](), list[Scope]()
    for source in opened:
        before = files.rows
        for entry in source:
            if isinstance(entry, Failure):
                unlisted[entry.path] = entry
            else:
                files.add((files.rows, entry.path, entry.label, entry.split, entry.size, entry.mtime_ns))
        if source.prefix is not None and files.rows > before:  # an empty folder may be a drive that is not mounted
            scopes.append(Scope(source.prefix, source.within_containers))
    if not files.rows:
        hints = "".join(f"; {source.hint}" for source in opened if source.hint)
        raise SourceError(
            f"no image found in {', '.join(map(str, sources))}; expected files such as .jpg, .png, .webp or .tif; nothing was changed{hints}"
        )
    return Found(files, len(opened) > 1, list(unlisted.values()), scopes)

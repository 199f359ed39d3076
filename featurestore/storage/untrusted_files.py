"""What lies in a store that featurestore never makes: links, pipes and devices, and files with a hard link outside the store."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from featurestore.errors import DiskError
from featurestore.storage.layout import CATALOG, Layout
from featurestore.system.hard_links import other_hard_links, require_one_hard_link
from featurestore.system.no_follow import FILE, FOLDER, kind_of, untrusted_error

OURS = re.compile(
    r"\.(f16|onnx|faiss|knn|pairs|grey|dropped|part)"
)  # in names of files in the folders; other names are never opened


@dataclass(frozen=True, slots=True)
class UntrustedFile:
    """Something in the place of a file or folder of a store."""

    path: Path
    expected: str  # FILE or FOLDER
    found: str  # its kind


def require_trusted(layout: Layout) -> None:
    """Raise StoreUntrusted when one of the files and folders of a store is something else, such as a link. Raises DiskError."""
    for found in untrusted_files(layout):
        raise untrusted_error(found.path, found.expected, found.found)


def require_no_hard_links(layout: Layout) -> None:
    """Raise StoreUntrusted when a file that is changed in place has a hard link outside the store."""
    for path in hard_linked_files(layout):
        require_one_hard_link(path, path.lstat(), layout.damaged)


def untrusted_files(layout: Layout) -> Iterator[UntrustedFile]:
    """Look at each place of a store without following anything. Raises DiskError when a folder cannot be listed."""
    folders = {layout.vectors.name, layout.encoders.name, layout.indexes.name, layout.derived.name, layout.damaged.name}
    for entry in _entries(layout.root):
        if entry.name.startswith(f"{CATALOG}.part"):
            continue  # left by a stopped process; it is only ever deleted, and that follows nothing
        # DuckDB's folder for what does not fit into memory
        is_spill = entry.name.startswith(CATALOG) and entry.name.endswith(".tmp")
        if entry.name in folders or is_spill:
            yield from _unless(FOLDER, entry)
            if entry.is_dir(follow_symlinks=False) and entry.name != layout.damaged.name:
                for file in _entries(Path(entry)):
                    if is_spill or OURS.search(file.name):
                        yield from _unless(FILE, file)
                    if is_spill and file.stat(follow_symlinks=False).st_nlink > 1:
                        yield UntrustedFile(Path(file), FILE, "a file with another hard link")
        elif entry.name in (layout.lock.name, layout.catalog_lock.name) or entry.name.startswith(CATALOG):
            yield from _unless(FILE, entry)


def hard_linked_files(layout: Layout) -> Iterator[Path]:
    """Give the files that are changed in place and have a hard link outside the store, as some backups make."""
    for path in (layout.catalog, layout.catalog_log, *layout.vectors.glob("*.f16")):
        try:
            if other_hard_links(path.lstat(), layout.damaged):
                yield path
        except FileNotFoundError:
            continue


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise DiskError(f"{folder} cannot be listed ({error.strerror}); check its permissions") from error


def _unless(expected: str, entry: os.DirEntry[str]) -> Iterator[UntrustedFile]:
    """Give the entry unless it is what is expected. Most entries are, which is known without a call of the system."""
    if entry.is_file(follow_symlinks=False) if expected == FILE else entry.is_dir(follow_symlinks=False):
        return
    yield UntrustedFile(Path(entry), expected, kind_of(entry.stat(follow_symlinks=False).st_mode))

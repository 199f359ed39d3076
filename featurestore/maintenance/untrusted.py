"""What `verify` does about links, pipes and devices in a store, and about files that have a hard link outside it."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from featurestore.errors import DiskError
from featurestore.maintenance.backups import unused_name
from featurestore.maintenance.findings import Finding
from featurestore.storage import Layout, Storage
from featurestore.storage.untrusted_files import hard_linked_files, untrusted_files
from featurestore.system.disk import atomic_write, create_folder
from featurestore.system.no_follow import FOLDER, open_folder, open_no_follow


def untrusted(layout: Layout, repair: bool) -> Iterator[Finding]:
    """Find what is in the place of a file or folder and is another thing; `repair` moves it to `damaged`, and follows nothing.

    The lock may be one of them, so this needs no lock: no writer can have begun. Raises DiskError.
    """
    for found in sorted(untrusted_files(layout), key=lambda found: found.path != layout.damaged):
        place, action = str(found.path.relative_to(layout.root)), "moves it to damaged/ as it is"
        if repair:
            action = f"moved it to {_move(found.path, layout)} as it is"
            if found.expected == FOLDER and found.path in (layout.vectors, layout.encoders):
                create_folder(found.path)
        problem = f"expected {found.expected}, found {found.found}, which featurestore never makes and does not follow"
        safe = "everything else" if repair else "everything else, which was not read"
        yield Finding(place, problem, safe, action, repaired=repair)


def hard_linked(store: Storage, repair: bool) -> Iterator[Finding]:
    """Find files with a hard link outside the store; `repair`, by the store's only writer, puts copies in their place."""
    for path in hard_linked_files(store.layout):
        repaired = repair and _copy_in_place(store, path)
        yield Finding(
            str(path.relative_to(store.path)), "it has a hard link outside the store, so nothing is written to it",
            "everything", "puts a copy in its place, and leaves the hard link as it is", damage=False, repaired=repaired,
        )  # fmt: skip


def _move(path: Path, layout: Layout) -> Path:
    """Rename a link or anything else, so that it is in `damaged`; what is in the place of `damaged` gets a name beside it."""
    if path == layout.damaged:
        to = unused_name(layout.root, path.name)
    else:
        create_folder(layout.damaged)
        to = unused_name(layout.damaged, path.name)
    try:
        with (
            open_folder(path.parent, path.parent == layout.root) as old,
            open_folder(to.parent, to.parent == layout.root) as new,
        ):
            os.rename(path.name, to.name, src_dir_fd=old, dst_dir_fd=new)
            os.fsync(new)
    except OSError as error:
        raise DiskError(f"{path} could not be moved to {to} ({error.strerror}); move it away by hand") from error
    return to


def _copy_in_place(store: Storage, path: Path) -> bool:
    """Whether a file now is a copy of its own. It is not where the disk cannot read all of it."""
    try:
        in_store = path.parent != store.path
        with (
            store.catalog.closed(),
            atomic_write(path, "free some space", in_store) as new,
            os.fdopen(open_no_follow(path), "rb") as old,
        ):
            shutil.copyfileobj(old, new)
    except DiskError:
        return False
    return True

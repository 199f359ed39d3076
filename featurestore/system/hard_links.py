"""Hard links of a file: what is written to one of them is in all."""

import os
from pathlib import Path

from featurestore.errors import StoreUntrusted


def other_hard_links(found: os.stat_result, aside: Path) -> int:
    """Count the hard links of a file, without its own name and those in the folder `aside`."""
    if found.st_nlink < 2:
        return 0
    try:
        with os.scandir(aside) as entries:
            return found.st_nlink - 1 - sum(entry.inode() == found.st_ino for entry in entries)
    except (FileNotFoundError, NotADirectoryError):
        return found.st_nlink - 1


def require_one_hard_link(path: Path, found: os.stat_result, aside: Path) -> None:
    """Raise StoreUntrusted for a file with another hard link outside `aside`."""
    if other_hard_links(found, aside):
        raise StoreUntrusted(
            f"{path}: expected a file with one hard link, found one with {found.st_nlink}, so writing it would change another file; "
            "nothing was written: give the store a copy of its own by featurestore verify STORE --repair"
        )

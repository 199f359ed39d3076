"""Every place of a store, and every kind of thing that a stranger may have put there."""

import os
import shutil
import signal
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.featurestore.attacks.canary import Canary

FILES = (
    "lock", "catalog.lock", "catalog.duckdb", "catalog.duckdb.wal", "catalog.duckdb.wal.checkpoint", "catalog.duckdb.wal.recovery",
    "catalog.duckdb.tmp/duckdb_temp_storage_DEFAULT-0.tmp",
    "vectors/{}.f16", "vectors/{}-2.f16", "vectors/{}-2.f16.part", "encoders/{}.onnx", "encoders/{}.onnx.part", "encoders/{}.dropped",
    "indexes/{}-1.faiss", "indexes/{}-1.faiss.part", "derived/{}.knn", "derived/{}.knn.part", "derived/{}.pairs", "derived/{}.pairs.part",
    "derived/thumbnails.grey",
)  # fmt: skip
FOLDERS = ("vectors", "encoders", "indexes", "derived", "damaged", "catalog.duckdb.tmp")
NEVER_OPENED = (
    "catalog.duckdb.part",
    "catalog.duckdb.part.wal",
    "catalog.duckdb.part-x1y2z3ab",
)  # left by a stopped process
PLACES = (*FILES, *FOLDERS, *NEVER_OPENED)
IN_PLACE = ("catalog.duckdb", "catalog.duckdb.wal", "vectors/{}.f16")  # files that are changed where they are
LINKS = ("link to a file", "link to a folder", "link to nothing", "link to a device", "link to itself")
KINDS = (*LINKS, "pipe", "socket", "device", "file", "folder", "hard link")
WORDS = {**dict.fromkeys(LINKS, "a symbolic link"), "pipe": "a pipe", "socket": "a socket", "device": "a device"}
WORDS |= {"file": "a file", "folder": "a folder", "hard link": "a file"}
BEYOND = "twin"  # beside the canary: a hard link of a file of the store


def is_untrusted(place: str, kind: str) -> bool:
    """Whether a store with this is refused by all that open it."""
    if place in NEVER_OPENED:
        return False
    if place in FOLDERS:
        return kind != "folder"
    return kind not in ("file", "hard link") or (kind == "hard link" and place.startswith("catalog.duckdb.tmp/"))


def put(store: Path, place: str, kind: str, canary: Canary) -> Path:
    """Put something in a place of a store; returns the place."""
    [vectors] = (store / "vectors").glob("*.f16")
    path = store / place.format(vectors.stem)
    path.parent.mkdir(exist_ok=True)
    if kind == "hard link":
        if path.is_dir():
            shutil.rmtree(path)
        if path.is_file():
            os.link(path, canary.folder.parent / BEYOND)
        else:
            os.link(canary.path(), path)
        return path
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    if kind in LINKS:
        target = {"file": canary.path(), "folder": canary.folder / "deep", "device": Path("/dev/zero"), "itself": path}
        path.symlink_to(target.get(kind.rpartition(" ")[2], canary.folder / "nothing"))
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        _listen(path)
    elif kind == "device":
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))  # /dev/zero
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_bytes(b"a stranger's\n")
    return path


def _listen(path: Path) -> None:
    """Bind a socket to a name; the name stays, and may be too long for the whole path."""
    folder = os.open(path.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(f"/proc/self/fd/{folder}/s")
    os.rename("s", path.name, src_dir_fd=folder, dst_dir_fd=folder)
    os.close(folder)


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise TimeoutError when the block stalls."""

    def late(*_: Any) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)

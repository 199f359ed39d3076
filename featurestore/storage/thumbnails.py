"""Thumbnails: a small grey picture of each content of a store, to compare pictures by. Made once, when they are first needed."""

import re
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featurestore.imaging.load import Loaded
from featurestore.imaging.pool import load_all
from featurestore.imaging.preprocess import Preprocess
from featurestore.progress import Listener
from featurestore.sources import ImageFile
from featurestore.storage.derived import keep
from featurestore.storage.storage import Storage
from featurestore.system.checked_file import read_checked, write_checked

SIDE = 32  # pixels; the whole picture is squeezed into a square
SHAPE = Preprocess(SIDE, SIDE, resize="stretch", interpolation="bilinear")
MAGIC = b"thumbs1\n"
HASH = np.dtype("V32")  # SHA-256; the file is MAGIC, then the hash of each content, then the grey levels of each
SPARE, PART = 1_000_000, 16_384  # pictures
FIRST = 131_072  # pictures that are made before the first are kept
GREY = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


class ContentFile(NamedTuple):
    """A content of the store, and a file that had it."""

    sha256: str  # in hexadecimal
    size: int  # bytes
    mtime_ns: int
    path: str


class Thumbnails(NamedTuple):
    """The grey levels of some pictures."""

    grey: NDArray[np.uint8]  # (M, SIDE, SIDE); of one colour where there is none
    known: NDArray[np.bool_]  # (M,): whether there is one

    @classmethod
    def none(cls, count: int) -> "Thumbnails":
        """Make an empty collection."""
        return cls(np.zeros((count, SIDE, SIDE), np.uint8), np.zeros(count, bool))


def thumbnails(store: Storage, files: Sequence[ContentFile], listener: Listener) -> Thumbnails:
    """Give the thumbnails of M contents; those that are missing are made, and kept.

    A picture that is gone, cannot be decoded, or has another content by now has none. When this is interrupted, those that were made
    are kept; when it is killed, half of them or more, beyond FIRST. Raises StoreUntrusted, SourceError, TooManyOpenFiles.
    """
    kept = _read(store.layout.thumbnails, len(files))
    wanted = np.array([_hash(file.sha256) for file in files], HASH)
    found = Thumbnails.none(len(files))
    places = kept.places(wanted)
    found.known[:] = places >= 0
    there, missing = np.flatnonzero(found.known), np.flatnonzero(~found.known)
    for start in range(0, len(there), PART):
        part = there[start : start + PART]
        found.grey[part] = kept.grey[places[part]]
    if len(missing):
        listener.start("looking at the pictures", len(missing))
    start = 0
    while start < len(missing):
        end = max(FIRST, 2 * start)
        part = missing[start:end]
        try:
            _make({place: files[place] for place in part.tolist()}, found, listener)
        finally:
            _keep(store, _Kept(wanted, found.grey), part[found.known[part]], listener)
        start = end
    return found


def forget_thumbnails(store: Storage) -> None:
    """Delete the thumbnails of contents that the store no longer has; within `writing`. Raises DiskError."""
    kept = _read(store.layout.thumbnails)
    stays = _in_use(store, kept)
    if len(stays) < len(kept.hashes):
        _write(store, [(kept, stays)])


def _hash(sha256: str) -> bytes:
    """Read a hash; one that no picture has for what a stranger's catalog may hold in its place."""
    return bytes.fromhex(sha256) if re.fullmatch(r"[0-9a-f]{64}", sha256) else bytes(HASH.itemsize)


@dataclass(frozen=True)
class _Kept:
    """Thumbnails as a file has them."""

    hashes: NDArray[np.void]  # (N,), of the contents
    grey: NDArray[np.uint8]  # (N, SIDE, SIDE)

    def places(self, wanted: NDArray[np.void]) -> NDArray[np.int64]:
        """Find contents by their hashes: places (M,), -1 where one is not there."""
        place = {content: at for at, content in enumerate(self.hashes.tolist())}
        return np.array([place.get(content, -1) for content in wanted.tolist()], np.int64)


def _read(path: Path, wanted: int = 0) -> _Kept:
    """Read the file; nothing where there is none, it is damaged, or much larger than `wanted` and SPARE pictures."""
    content = read_checked(path, len(MAGIC) + 2 * (wanted + SPARE) * (HASH.itemsize + SIDE**2))
    count, rest = divmod(max(0, 0 if content is None else len(content) - len(MAGIC)), HASH.itemsize + SIDE**2)
    if content is None or rest or content[: len(MAGIC)] != MAGIC:
        return _Kept(np.empty(0, HASH), np.empty((0, SIDE, SIDE), np.uint8))
    grey = np.frombuffer(content, np.uint8, offset=len(MAGIC) + count * HASH.itemsize)
    return _Kept(np.frombuffer(content, HASH, count, len(MAGIC)), grey.reshape(count, SIDE, SIDE))


def _make(missing: Mapping[int, ContentFile], found: Thumbnails, listener: Listener) -> None:
    """Decode pictures, given by their places; a file with another content is only read."""
    files = (
        (ImageFile(file.path, None, None, file.size, file.mtime_ns), file.sha256.__ne__) for file in missing.values()
    )
    with closing(load_all(files, SHAPE)) as loaded:
        for (place, file), image in zip(missing.items(), loaded, strict=True):
            if isinstance(image, Loaded) and image.sha256 == file.sha256:
                found.grey[place] = np.rint(image.pixels @ GREY)
                found.known[place] = True
            listener.advance()


def _keep(store: Storage, new: _Kept, made: NDArray[np.int64], listener: Listener) -> None:
    """Add some new thumbnails to those that the store has of its contents; where that cannot be done, say so."""
    if not len(made):
        return

    def write() -> None:
        old = _read(store.layout.thumbnails, len(new.hashes))
        stays = _in_use(store, old)
        stays = stays[~np.isin(old.hashes[stays], new.hashes[made])]
        _write(store, [(old, stays), (new, made)])

    keep(store, "the small pictures", write, listener)


def _in_use(store: Storage, kept: _Kept) -> NDArray[np.int64]:
    """Say which thumbnails are of contents that the store has: their places."""
    return np.flatnonzero(np.isin(kept.hashes, store.catalog.items.hashes()[1]))


def _write(store: Storage, chosen: Sequence[tuple[_Kept, NDArray[np.int64]]]) -> None:
    """Write some thumbnails, given by their places; they are copied in parts, since they may be those of a mapped file."""
    hashes = (of.hashes[places].tobytes() for of, places in chosen)
    grey = (
        of.grey[places[start : start + PART]].tobytes()
        for of, places in chosen
        for start in range(0, len(places), PART)
    )
    write_checked(store.layout.thumbnails, chain([MAGIC], hashes, grey))

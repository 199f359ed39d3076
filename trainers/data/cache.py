"""Decoded pixels of a large collection: a mapped file beside the run, made anew when the images change."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurestore.imaging.preprocess import Preprocess
from featurestore.sources import Failure, ImageFile
from featurestore.system.disk import written_whole

Decode = Callable[[NDArray[np.uint8]], tuple[list[int], list[Failure]]]
ADVICE = "free some space, choose a smaller --image-size or another --out"


@dataclass(frozen=True)
class Decoded:
    """Decoded files: `pixels[i]` is the image of file number `files[i]`, rows beyond are unused."""

    pixels: NDArray[np.uint8]  # (N, 3, size, size)
    files: list[int]
    failures: list[Failure]
    sha256: str  # of the pixels in use, in order


def decoded(pixels: NDArray[np.uint8], decode: Decode) -> Decoded:
    """Fill an array from the front by `decode`, which says which files are in it and why others are not."""
    files, failures = decode(pixels)
    return Decoded(pixels, files, failures, hashlib.sha256(pixels[: len(files)].data).hexdigest())


def mapped(path: Path, files: Sequence[ImageFile], record: Preprocess, decode: Decode) -> Decoded:
    """Map the pixels of `files`, uint8 (N, 3, size, size), decoded into `path` unless that holds them already.

    A file counts as changed when its path, size or time does, and so does `path` itself. Raises DiskError when the disk has no room.
    """
    shape = (len(files), 3, record.size, record.size)
    key, notes = _key(files, record), path.with_suffix(".json")
    known = _known(notes, path)
    if known.get("key") != key:
        with written_whole(path, ADVICE) as part:
            for old in (notes, path):  # first the one that tells of the other, which takes room
                old.unlink(missing_ok=True)
            with part.open("wb") as file:
                _reserve(file.fileno(), int(np.prod(shape)))
            pixels = np.memmap(part, np.uint8, "r+", shape=shape)
            made = decoded(pixels, decode)
            pixels.flush()
        known = {
            "key": key,
            "file": _outside(path),
            "files": made.files,
            "failures": [asdict(failure) for failure in made.failures],
            "sha256": made.sha256,
        }
        with written_whole(notes, ADVICE) as part:
            part.write_text(json.dumps(known), encoding="utf-8")
    # Read only: pages that could be written to would count as memory, and be refused when there is less of it.
    pixels = np.memmap(path, np.uint8, "r", shape=shape)
    return Decoded(pixels, known["files"], [Failure(**failure) for failure in known["failures"]], known["sha256"])


def _known(notes: Path, path: Path) -> dict[str, Any]:
    """What is noted of a file of pixels; nothing when it is no longer as it was written."""
    try:
        known: dict[str, Any] = json.loads(notes.read_text(encoding="utf-8"))
        return known if known["file"] == _outside(path) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _outside(path: Path) -> list[int]:
    """Size and time of a file."""
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns]


def _reserve(handle: int, count: int) -> None:
    """Make room for so many bytes now: a mapped file that finds the disk full would end the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(handle, 0, count)
    else:  # macOS, which can only be asked
        if shutil.disk_usage(handle).free < count:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.truncate(handle, count)


def _key(files: Sequence[ImageFile], record: Preprocess) -> str:
    told = repr((asdict(record), [(file.path, file.size, file.mtime_ns) for file in files]))
    return hashlib.sha256(told.encode()).hexdigest()

"""Decoded pixels of a large collection: a mapped file beside the run, written again when the images change."""

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
from featurestore.imaging.readings import Readings
from featurestore.sources import Failure, ImageFile
from featurestore.system.disk import atomic_write, write_text

Decode = Callable[[NDArray[np.uint8]], tuple[list[int], list[Failure], Readings]]
READING = 2  # goes up when files are decoded to other pixels than before
ADVICE = "free some space, choose a smaller --image-size or another --out"


@dataclass(frozen=True)
class DecodedFiles:
    """Decoded files: `pixels[i]` is the image of file number `files[i]`; rows after these are unused."""

    pixels: NDArray[np.uint8]  # (N, 3, size, size)
    files: list[int]
    failures: list[Failure]
    readings: Readings
    sha256: str  # of the used pixels, in order


def decode_to_memory(pixels: NDArray[np.uint8], decode: Decode) -> DecodedFiles:
    """Fill an array from the front by `decode`, which returns the numbers of the files in it, the failures of the others, and how files were read."""
    files, failures, readings = decode(pixels)
    return DecodedFiles(pixels, files, failures, readings, hashlib.sha256(pixels[: len(files)].data).hexdigest())


def decode_to_cache(path: Path, files: Sequence[ImageFile], record: Preprocess, decode: Decode) -> DecodedFiles:
    """Map the pixels of `files`, uint8 (N, 3, size, size), from `path`, and decode them into it first unless it holds them already.

    A file counts as changed when its path, size or time does, and so does `path` itself. Raises DiskError when the disk has no room.
    """
    shape = (len(files), 3, record.size, record.size)
    key, notes = _key(files, record), path.with_suffix(".json")
    known = _known(notes, path)
    if known.get("key") != key:
        with atomic_write(path, ADVICE) as file:
            for old in (notes, path):  # the notes first, which describe the pixels; both make room
                old.unlink(missing_ok=True)
            _reserve(file.fileno(), int(np.prod(shape)))
            pixels = np.memmap(file, np.uint8, "r+", shape=shape)
            made = decode_to_memory(pixels, decode)
            pixels.flush()
        known = {
            "key": key,
            "file": _stamp(path),
            "files": made.files,
            "failures": [asdict(failure) for failure in made.failures],
            "readings": asdict(made.readings),
            "sha256": made.sha256,
        }
        write_text(notes, json.dumps(known), ADVICE)
    # Read only: writable pages would count as memory, and be refused when there is not enough.
    pixels = np.memmap(path, np.uint8, "r", shape=shape)
    failures = [Failure(**failure) for failure in known["failures"]]
    return DecodedFiles(pixels, known["files"], failures, Readings(**known["readings"]), known["sha256"])


def _known(notes: Path, path: Path) -> dict[str, Any]:
    """Read the notes on a file of pixels; empty when the file has changed since it was written."""
    try:
        known: dict[str, Any] = json.loads(notes.read_text(encoding="utf-8"))
        return known if known["file"] == _stamp(path) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _stamp(path: Path) -> list[int]:
    """Size and modification time of a file."""
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns]


def _reserve(handle: int, count: int) -> None:
    """Reserve so many bytes now: a full disk under a mapped file would kill the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(handle, 0, count)
    else:  # macOS, which cannot reserve
        if shutil.disk_usage(handle).free < count:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.truncate(handle, count)


def _key(files: Sequence[ImageFile], record: Preprocess) -> str:
    contents = repr((READING, asdict(record), [(file.path, file.size, file.mtime_ns) for file in files]))
    return hashlib.sha256(contents.encode()).hexdigest()

"""Bringing a store up to date with its sources: what is new, changed or gone, in batches that survive a crash."""

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featurestore import images, pipeline
from featurestore.catalog import Catalog, ItemChange, KnownFile
from featurestore.encoder import Encoder
from featurestore.errors import Interrupted, SourceError
from featurestore.images import Failure, ImageFile
from featurestore.pipeline import Prepared, Same
from featurestore.progress import Listener
from featurestore.results import IndexReport
from featurestore.vectors import VectorFile, unit_rows

ENCODE_BATCH = 32  # images; every batch has this shape, the last one is padded
COMMIT_IMAGES, COMMIT_SECONDS = 1024, 5.0  # a killed run loses no more than this


@dataclass(frozen=True, slots=True)
class Found:
    """What lies in the sources of one run."""

    files: dict[str, ImageFile]  # by path: one file by two sources is one item
    unlisted: list[Failure]  # places that could not be looked into
    folders: tuple[str, ...]  # the sources that are folders, each ending in a separator


def find_files(sources: Sequence[str | Path], listener: Listener) -> Found:
    """Look through all sources; raises SourceError when one is missing or all are without an image."""
    listener.start("looking for images", None)
    found = [entry for source in sources for entry in images.scan(source)]
    files = {f.path: f for f in found if isinstance(f, ImageFile)}
    if not files:
        raise SourceError(
            f"no image found in {', '.join(map(str, sources))}; expected files such as .jpg, .png, .webp or .tif; nothing was changed"
        )
    folders = [path.resolve() for path in (Path(source).expanduser() for source in sources) if path.is_dir()]
    return Found(files, [f for f in found if isinstance(f, Failure)], tuple(f"{folder}{os.sep}" for folder in folders))


@dataclass
class Indexing:
    """One run of `index`: files in, committed batches out. Its caller is the store's only writer."""

    catalog: Catalog
    file: VectorFile
    encoder: Encoder
    by_folder: bool
    workers: int | None
    listener: Listener
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("added", "updated", "unchanged", "removed", "failed"), 0)
    )
    changes: list[ItemChange] = field(default_factory=list)
    vectors: list[NDArray[np.float32]] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)
    waiting: list[Prepared] = field(default_factory=list)
    encoded: int = 0

    def run(self, found: Found) -> IndexReport:
        """Encode, commit, and mark as removed what is gone."""
        began = time.monotonic()
        files, unlisted = found.files, found.unlisted
        self.known, self.next_item, self.rows = self.catalog.known_files(self.encoder.fingerprint)
        self.file.check(self.rows)

        self.listener.start("indexing", len(files))
        todo = [file for file in files.values() if not self._is_unchanged(file)]
        self.failures += [(f.path, f.reason) for f in unlisted]
        self.counts["failed"] += len(unlisted)
        committed_at = time.monotonic()
        try:
            for result in pipeline.prepare_all(
                ((f, self._known_hash(f)) for f in todo), self.encoder.preprocess, self.workers
            ):
                self._take(result)
                seconds = time.monotonic() - began
                self.listener.advance(
                    1,
                    f"{self.encoded / seconds:.0f} images/s"
                    + (f", {self.counts['failed']} failed" if self.counts["failed"] else ""),
                )
                if len(self.vectors) >= COMMIT_IMAGES or time.monotonic() - committed_at > COMMIT_SECONDS:
                    self._commit()
                    committed_at = time.monotonic()
        except KeyboardInterrupt:
            self._commit()
            raise Interrupted(
                f"interrupted; {self.encoded} images were encoded and are kept: run the same command again to go on"
            ) from None
        self._commit()
        self._remove_vanished(found)
        seconds = time.monotonic() - began
        return IndexReport(**self.counts, images_per_second=round(self.encoded / seconds, 1))

    def _is_unchanged(self, file: ImageFile) -> bool:
        known = self.known.get(file.path)
        if (
            known is None
            or known.removed
            or not known.encoded
            or (known.bytes, known.mtime_ns) != (file.size, file.mtime_ns)
        ):
            return False
        self.counts["unchanged"] += 1
        self.listener.advance()
        label, split = self._labels(file, known)
        if (label, split) != (known.label, known.split):
            self.changes.append(
                ItemChange(known.id, False, file.path, label, split, None, None, file.size, file.mtime_ns, None, None)
            )
        return True

    def _known_hash(self, file: ImageFile) -> str | None:
        known = self.known.get(file.path)
        return known.sha256 if known is not None and known.encoded else None

    def _labels(self, file: ImageFile, known: KnownFile | None) -> tuple[str | None, str | None]:
        if self.by_folder:
            return file.label, file.split
        return (known.label, known.split) if known else (None, None)

    def _take(self, result: Prepared | Same | Failure) -> None:
        match result:
            case Failure(path, reason):
                self._fail(path, reason)
            case Same(file):
                known = self.known[file.path]
                self.counts["added" if known.removed else "unchanged"] += 1
                self.changes.append(
                    ItemChange(
                        known.id,
                        False,
                        file.path,
                        *self._labels(file, known),
                        None,
                        None,
                        file.size,
                        file.mtime_ns,
                        None,
                        None,
                    )
                )
            case Prepared():
                self.waiting.append(result)
                if len(self.waiting) == ENCODE_BATCH:
                    self._encode()

    def _fail(self, path: str, reason: str) -> None:
        self.failures.append((path, reason))
        self.counts["failed"] += 1

    def _encode(self) -> None:
        with _whole():
            self._encode_waiting()

    def _encode_waiting(self) -> None:
        batch, self.waiting = self.waiting, []
        pixels = np.zeros(
            (ENCODE_BATCH, *batch[0].pixels.shape), np.uint8
        )  # one shape for all batches keeps the runtime's memory flat
        for place, prepared in enumerate(batch):
            pixels[place] = prepared.pixels
        for prepared, vector in zip(batch, unit_rows(self.encoder.encode(pixels)[: len(batch)]), strict=True):
            if np.isnan(vector).any():
                self._fail(prepared.file.path, "the encoder gave a vector that is zero or not finite")
                continue
            known = self.known.get(prepared.file.path)
            if known is None:
                item, self.next_item = self.next_item, self.next_item + 1
            else:
                item = known.id
            new_to_store = (
                known is None or known.removed or known.sha256 == prepared.sha256
            )  # the latter: new to this encoder
            self.counts["added" if new_to_store else "updated"] += 1
            self.changes.append(
                ItemChange(
                    item, known is None, prepared.file.path, *self._labels(prepared.file, known), prepared.width, prepared.height,
                    prepared.file.size, prepared.file.mtime_ns, prepared.sha256, self.rows + len(self.vectors),
                )
            )  # fmt: skip
            self.vectors.append(vector)
        self.encoded += len(batch)

    def _commit(self) -> None:
        """Vectors to disk first, then the catalog: a crash between leaves only rows that nobody refers to."""
        with _whole():
            if self.waiting:
                self._encode_waiting()
            if self.vectors:
                self.file.append(np.stack(self.vectors), self.rows)
            if self.changes or self.failures:
                rows = self.rows + len(self.vectors)
                self.catalog.commit(self.encoder.fingerprint, self.changes, self.failures, self.next_item, rows)
                self.rows = rows
            self.changes, self.vectors, self.failures = [], [], []

    def _remove_vanished(self, found: Found) -> None:
        """Mark items of these sources that were not found; what lies in an unreadable folder is left as it is."""
        hidden = tuple(f"{f.path}{os.sep}" for f in found.unlisted)
        failed = {f.path for f in found.unlisted}

        def vanished(path: str) -> bool:
            return (
                path.startswith(found.folders)
                and path not in found.files
                and path not in failed
                and not path.startswith(hidden)
            )

        gone = [known.id for path, known in self.known.items() if not known.removed and vanished(path)]
        forgotten = [path for path, _, _ in self.catalog.failures() if vanished(path)]
        if gone or forgotten:
            self.catalog.remove(gone, forgotten)
        self.counts["removed"] = len(gone)


@contextmanager
def _whole() -> Iterator[None]:
    """Hold Ctrl-C back until the block is done: half of it would be recorded twice, or not at all, by what follows."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread hears of Ctrl-C
        return
    held: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: held.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if held:
        signal.raise_signal(signal.SIGINT)

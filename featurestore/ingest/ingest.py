"""Bringing a store up to date with its sources: what is new, changed or gone, in batches that survive a crash."""

import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurestore.ann.normalize import unit_rows
from featurestore.catalog import EncoderRecord, FailedFile, ItemChange
from featurestore.catalog.diff import FOUND, Diff, FileToIngest, Scope
from featurestore.encoders.encoder import Encoder
from featurestore.errors import Interrupted, SourceError
from featurestore.imaging import pool as pipeline
from featurestore.imaging.pool import Prepared, Same
from featurestore.progress import Listener
from featurestore.sources import Failure, ImageFile, open_source
from featurestore.sources.formats import CONTAINER_SUFFIX
from featurestore.storage import Storage
from featurestore.system.spool import Spool

ENCODE_BATCH = 16  # images; every batch has this shape, the last one is padded
COMMIT_IMAGES, COMMIT_SECONDS = 16_384, 5.0  # a killed run loses no more than this


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What a run of `index` did; counts are images."""

    added: int
    updated: int  # known by path, with new content
    unchanged: int
    removed: int  # vanished from the source
    failed: int
    images_per_second: float  # encoded, over the whole run

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Found:
    """What lies in the sources of one run."""

    files: Spool  # rows of FOUND
    several: bool  # sources, which may hold the same file
    unlisted: list[Failure]  # places that could not be looked into
    claims: list[Scope]


def find_files(sources: Sequence[str | Path], listener: Listener) -> Found:
    """Look through all sources; raises SourceError when one is missing or all are without an image."""
    listener.start("looking for images", None)
    opened = [open_source(source) for source in sources]
    files, unlisted, claims = Spool(FOUND), dict[str, Failure](), list[Scope]()
    for source in opened:
        before = files.rows
        for entry in source:
            if isinstance(entry, Failure):
                unlisted[entry.path] = entry
            else:
                files.add((files.rows, entry.path, entry.label, entry.split, entry.size, entry.mtime_ns))
        if source.prefix is not None and files.rows > before:  # an empty one claims nothing: a drive may be missing
            claims.append(Scope(source.prefix, source.within_containers))
    if not files.rows:
        hints = "".join(f"; {source.hint}" for source in opened if source.hint)
        raise SourceError(
            f"no image found in {', '.join(map(str, sources))}; expected files such as .jpg, .png, .webp or .tif; nothing was changed{hints}"
        )
    return Found(files, len(opened) > 1, list(unlisted.values()), claims)


@dataclass
class Indexing:
    """One run of `index`: files in, committed batches out. Its caller is the store's only writer."""

    store: Storage
    record: EncoderRecord
    encoder: Encoder
    by_folder: bool
    workers: int | None
    image_seconds: float  # longest an image may take to be read and decoded
    listener: Listener
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("added", "updated", "unchanged", "removed", "failed"), 0)
    )
    reading: dict[str, FileToIngest] = field(default_factory=dict)  # by path: what was handed to the decoding threads
    waiting: list[tuple[FileToIngest, Prepared]] = field(default_factory=list)
    vectors: list[NDArray[np.float16]] = field(default_factory=list)
    changes: list[ItemChange] = field(default_factory=list)
    failures: list[FailedFile] = field(default_factory=list)
    encoded: int = 0

    def run(self, found: Found) -> IndexReport:
        """Encode, commit, and mark as removed what is gone."""
        began = time.monotonic()
        hidden = [failure.path for failure in found.unlisted]
        plan = self.store.catalog.changes.diff(
            self.encoder.fingerprint,
            found.files,
            found.several,
            self.by_folder,
            found.claims,
            hidden,
            CONTAINER_SUFFIX,
        )
        self.next_item = plan.next_item
        self.writer = self.store.vector_writer(self.record)
        self.committed_at = time.monotonic()

        self.listener.start("indexing", plan.total)
        for failure in found.unlisted:
            self._fail(failure.path, failure.reason, unreadable=True)
        if plan.total > plan.todo.rows:
            self._pass_over(plan.total - plan.todo.rows)
        try:
            self._label_anew(plan)
            for result in pipeline.prepare_all(
                self._to_read(plan), self.encoder.preprocess, self.workers, self.image_seconds
            ):
                self._take(result)
                self.listener.advance(1, self._speed(began))
                self._commit_when_due()
        except KeyboardInterrupt:
            self._commit()
            raise Interrupted(
                f"interrupted; {self.encoded} images were encoded and are kept: run the same command again to go on"
            ) from None
        self._commit()
        if len(plan.removed) or plan.gone_failures:
            self.store.catalog.changes.mark_removed(plan.removed, plan.gone_failures)
        self.counts["removed"] = len(plan.removed)
        seconds = time.monotonic() - began
        return IndexReport(**self.counts, images_per_second=round(self.encoded / seconds, 1))

    def _speed(self, began: float) -> str:
        failed = f", {self.counts['failed']} failed" if self.counts["failed"] else ""
        return f"{self.encoded / (time.monotonic() - began):.0f} images/s{failed}"

    def _pass_over(self, unchanged: int) -> None:
        self.counts["unchanged"] += unchanged
        self.listener.advance(unchanged)

    def _label_anew(self, plan: Diff) -> None:
        for todo in plan:
            if todo.unchanged:
                self._pass_over(1)
                self.changes.append(self._change(todo))
                self._commit_when_due()

    def _to_read(self, plan: Diff) -> Iterator[tuple[ImageFile, str | None]]:
        for todo in plan:
            if not todo.unchanged:
                self.reading[todo.path] = todo
                file = ImageFile(todo.path, todo.label, todo.split, todo.size, todo.mtime_ns)
                yield file, todo.sha256 if todo.encoded else None

    def _change(self, todo: FileToIngest, prepared: Prepared | None = None, row: int | None = None) -> ItemChange:
        """What the catalog is to record of a file: with the row of its new vector, or that the vector it has stays right."""
        item = todo.id
        if item is None:
            item, self.next_item = self.next_item, self.next_item + 1
        label, split = (todo.label, todo.split) if self.by_folder else (todo.known_label, todo.known_split)
        width, height, sha256 = (prepared.width, prepared.height, prepared.sha256) if prepared else (None, None, None)
        return ItemChange(
            item, todo.id is None, todo.path, label, split, width, height, todo.size, todo.mtime_ns, sha256, row
        )

    def _take(self, result: Prepared | Same | Failure) -> None:
        todo = self.reading.pop(result.path if isinstance(result, Failure) else result.file.path)
        match result:
            case Failure(path, reason):
                self._fail(path, reason, unreadable=True)
            case Same():
                self.counts["added" if todo.removed else "unchanged"] += 1
                self.changes.append(self._change(todo))
            case Prepared():
                self.waiting.append((todo, result))
                if len(self.waiting) == ENCODE_BATCH:
                    self._encode()

    def _fail(self, path: str, reason: str, unreadable: bool) -> None:
        self.failures.append(FailedFile(path, reason, unreadable))
        self.counts["failed"] += 1

    def _encode(self) -> None:
        with _whole():
            self._encode_waiting()

    def _encode_waiting(self) -> None:
        batch, self.waiting = self.waiting, []
        size = self.encoder.preprocess.size
        pixels = np.zeros((ENCODE_BATCH, size, size, 3), np.uint8)  # one shape for all keeps the runtime's memory flat
        for place, (_, prepared) in enumerate(batch):
            pixels[place] = prepared.pixels
        vectors = unit_rows(self.encoder.encode(pixels)[: len(batch)]).astype(np.float16)  # half of what waits
        for (todo, prepared), vector in zip(batch, vectors, strict=True):
            if np.isnan(vector).any():
                self._fail(todo.path, "the encoder gave a vector that is zero or not finite", unreadable=False)
                continue
            new_to_store = (
                todo.id is None or todo.removed or todo.sha256 == prepared.sha256
            )  # the latter: to this encoder
            self.counts["added" if new_to_store else "updated"] += 1
            self.changes.append(self._change(todo, prepared, self.writer.rows + len(self.vectors)))
            self.vectors.append(vector)
        self.encoded += len(batch)

    def _commit_when_due(self) -> None:
        pending = len(self.changes) + len(self.failures)
        if pending >= COMMIT_IMAGES or time.monotonic() - self.committed_at > COMMIT_SECONDS:
            self._commit()
            self.committed_at = time.monotonic()

    def _commit(self) -> None:
        """Vectors to disk first, then the catalog: a crash between leaves only rows that nobody refers to."""
        with _whole():
            if self.waiting:
                self._encode_waiting()
            vectors = np.stack(self.vectors) if self.vectors else np.empty((0, self.encoder.dim), np.float16)
            self.writer.commit(self.changes, vectors, self.next_item, self.failures)
            self.changes, self.vectors, self.failures = [], [], []


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

"""Bring a store up to date with the files of its sources: compare them with the catalog, embed what is new, commit batch by batch."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurestore.catalog import Diff, EncoderRecord, FailedFile, FileToIngest, ItemChange, LabelCounts
from featurestore.catalog.diff import TO_INGEST, files_to_ingest
from featurestore.encoders import Embedded, EmbeddedImage, Encoder, KnownImage
from featurestore.errors import Interrupted
from featurestore.imaging import IsKnown
from featurestore.imaging.readings import Readings
from featurestore.ingest.exchanges import Exchanges
from featurestore.ingest.find_files import Found
from featurestore.ingest.moves import Moves
from featurestore.ingest.reports import IndexReport
from featurestore.progress import Listener
from featurestore.sources import Failure, ImageFile
from featurestore.sources.formats import CONTAINER_SUFFIX
from featurestore.sources.reasons import Reasons
from featurestore.storage import Storage
from featurestore.system.interrupts import uninterrupted
from featurestore.system.spool import Spool

COMMIT_IMAGES, COMMIT_SECONDS = 16_384, 5.0  # a killed run loses no more than this and one batch


@dataclass
class Ingest:
    """One run: files of the sources in, committed batches out. The caller holds the store's write lock."""

    store: Storage
    record: EncoderRecord
    encoder: Encoder
    by_folder: bool  # labels and splits come from the sources
    workers: int | None
    image_seconds: float  # longest that reading and decoding an image may take
    include_deleted: bool  # items that were deleted come back
    taken_back: frozenset[str]  # contents that come back whatever else was deleted
    listener: Listener
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(
            ("added", "updated", "unchanged", "removed", "failed", "deleted", "moved"), 0
        )
    )
    loading: dict[int, FileToIngest] = field(default_factory=dict)  # by place: the files that the encoder has taken
    vectors: list[NDArray[np.float16]] = field(default_factory=list)  # each (n, D); with what follows: not committed
    changes: list[ItemChange] = field(default_factory=list)
    failures: list[FailedFile] = field(default_factory=list)
    reasons: Reasons = field(default_factory=Reasons)
    labels: LabelCounts = field(default_factory=LabelCounts)
    passed_over: list[int] = field(default_factory=list)  # ids of items whose file now has a content that was deleted
    not_moved: Spool = field(default_factory=lambda: Spool(TO_INGEST))  # files to encode after all
    exchanges: Exchanges = field(default_factory=Exchanges)
    encoded: int = 0
    readings: Readings = field(default_factory=Readings)

    def run(self, found: Found) -> IndexReport:
        """Compare, embed, commit, and mark as removed what is gone. Raises Interrupted on Ctrl-C, DiskError, StoreCorrupt."""
        began = time.monotonic()
        diff = self._compare(found)
        self.listener.start("indexing", diff.total)
        for failure in found.unlisted:
            self._fail(failure.path, failure.reason, not failure.unread)
        self.counts["deleted"] = diff.deleted
        if unchanged := diff.total - diff.deleted - diff.todo.rows:
            self._count_unchanged(unchanged)
        try:
            self._update_labels(diff)
            self._embed((todo for todo in files_to_ingest(diff.todo) if not todo.unchanged), True, began)
            self._commit()  # so that the items of `not_moved` lie where their files are
            self._embed(files_to_ingest(self.not_moved), False, began)
        except KeyboardInterrupt:
            self._commit()
            raise Interrupted(
                f"interrupted; {self.encoded} images were encoded and are kept: run the same command again to go on"
            ) from None
        self._commit()
        removed = np.append(diff.removed, np.array(self.passed_over, np.int64))
        if len(removed):
            removed = np.setdiff1d(removed, diff.lost.moved())
        if len(removed) or diff.gone_failures:
            self.store.catalog.changes.mark_removed(removed, diff.gone_failures)
        self.counts["removed"] = len(removed)
        seconds = time.monotonic() - began
        labels = self.labels
        return IndexReport(
            **dict[str, Any](self.counts), images_per_second=round(self.encoded / seconds, 1),
            encoder=self.record.name, labels_set=labels.set, labels_changed=labels.changed, labels_kept=diff.labels_kept + labels.kept,
            readings=self.readings, labels_found=found.listing.labelled, classes=len(found.listing.classes),
            splits=dict(found.listing.splits), passed_over=dict(found.listing.passed_over.counts), reasons=self.reasons.counts(),
            exchanged=self.exchanges.count(),
        )  # fmt: skip

    def _compare(self, found: Found) -> Diff:
        """Compare the files with the catalog, and open the vector file."""
        unlisted = [failure.path for failure in found.unlisted]
        diff = self.store.catalog.changes.diff(
            self.encoder.fingerprint,
            found.files,
            found.has_duplicates,
            self.by_folder,
            found.scopes,
            unlisted,
            CONTAINER_SUFFIX,
            self.include_deleted,
        )
        self.next_item, self.change = diff.next_item, diff.change
        self.deleted_hashes = diff.deleted_hashes - self.taken_back
        self.moves = Moves(self.store.catalog, self.encoder.fingerprint, diff.lost)
        self.writer = self.store.vector_writer(self.record)
        self.committed_at = time.monotonic()
        return diff

    def _update_labels(self, diff: Diff) -> None:
        """Record the labels of files that changed in nothing else."""
        for todo in files_to_ingest(diff.todo):
            if todo.unchanged:
                self._count_unchanged(1)
                self.changes.append(self._change(todo))
                self._commit_when_due()

    def _embed(self, files: Iterator[FileToIngest], may_be_moved: bool, began: float) -> None:
        """Embed files and commit now and then. may_be_moved: new files with the content of a lost item are not encoded."""
        for embedded in self.encoder.embed_files(self._loading(files, may_be_moved), self.workers, self.image_seconds):
            waiting = self.not_moved.rows
            with uninterrupted():
                self._record(embedded)
            self.listener.advance(len(embedded) + waiting - self.not_moved.rows, self._speed(began))
            self._commit_when_due()

    def _loading(self, files: Iterator[FileToIngest], may_be_moved: bool) -> Iterator[tuple[ImageFile, IsKnown]]:
        """Give the files to load, each with what tells whether its content needs a vector."""
        for place, todo in enumerate(files):
            self.loading[place] = todo
            file = ImageFile(todo.path, todo.label, todo.split, todo.size, todo.mtime_ns)
            yield file, partial(self._is_known, todo, may_be_moved)

    def _is_known(self, todo: FileToIngest, may_be_moved: bool, sha256: str) -> bool:
        """Whether a content is that which the encoder has a vector of, was deleted, or may be that of an item that moved."""
        if sha256 == todo.sha256:
            return todo.encoded
        return sha256 in self.deleted_hashes or (may_be_moved and todo.id is None and self.moves.may_be_moved(sha256))

    def _record(self, embedded: Embedded) -> None:
        """Take a batch of the encoder into what the next commit writes."""
        first = self.writer.rows + sum(map(len, self.vectors))
        for row, image in enumerate(embedded.images, start=first):
            todo = self.loading.pop(image.place)
            self.readings.add(image.path, image.how, image.flat)
            known_content = todo.sha256 == image.sha256  # it has a vector of another encoder already
            self.counts["added" if todo.id is None or todo.removed or known_content else "updated"] += 1
            self.changes.append(self._change(todo, image, row))
            if todo.sha256 is not None and not known_content:
                self.exchanges.add(todo.sha256, image.sha256)
        if embedded.images:
            self.vectors.append(embedded.vectors.astype(np.float16))  # half the memory until the commit
        self._record_known(embedded.known)
        for failure in embedded.failures:
            self._fail(self.loading.pop(failure.place).path, failure.reason, not (failure.readable or failure.unread))
        self.encoded += len(embedded.images) + sum(failure.readable for failure in embedded.failures)

    def _record_known(self, images: Sequence[KnownImage]) -> None:
        """Take files that were not encoded: their content is the same as before, was deleted, or may be that of an item that moved."""
        new: list[tuple[FileToIngest, str]] = []
        for image in images:
            todo = self.loading.pop(image.place)
            if image.sha256 == todo.sha256:
                self.counts["added" if todo.removed else "unchanged"] += 1
                self.changes.append(self._change(todo))
            elif image.sha256 in self.deleted_hashes:
                self.counts["deleted"] += 1
                self.passed_over += [todo.id] if todo.id is not None and not todo.removed else []
            else:
                new.append((todo, image.sha256))
        origins = self.moves.origins([(todo.path, sha256) for todo, sha256 in new])
        for (todo, sha256), item in zip(new, origins, strict=True):
            if item is None:
                self.not_moved.add(astuple(todo))
                continue
            moved = replace(todo, id=item.id, sha256=sha256)
            self.changes.append(self._change(moved))  # whether or not the encoder can use the file
            if item.encoded:
                self.counts["moved"] += 1
            else:
                self.not_moved.add(astuple(replace(moved, label=None, labels=None, split=None)))  # these are recorded

    def _change(self, todo: FileToIngest, image: EmbeddedImage | None = None, row: int | None = None) -> ItemChange:
        """Give what the catalog records of a file: with an image and its row when there is a new vector."""
        item = todo.id
        if item is None:
            item, self.next_item = self.next_item, self.next_item + 1
        label, labels, split = (todo.label, todo.labels, todo.split) if self.by_folder else (None, None, None)
        width, height, sha256 = (image.width, image.height, image.sha256) if image else (None, None, None)
        measures = image.quality._asdict() if image and image.quality else {}
        return ItemChange(
            item, todo.id is None, todo.path, label, split, width, height, todo.size, todo.mtime_ns, sha256, row,
            label_source="folder" if label or labels else None, split_source="folder" if split else None, labels=labels, **measures,
        )  # fmt: skip

    def _fail(self, path: str, reason: str, removes: bool) -> None:
        """Record a failure, which `removes` the item of a file that is no image, but none when the disk failed or there is no vector."""
        self.failures.append(FailedFile(path, reason, removes))
        self.reasons.add(Failure(path, reason))
        self.counts["failed"] += 1

    def _count_unchanged(self, files: int) -> None:
        self.counts["unchanged"] += files
        self.listener.advance(files)

    def _speed(self, began: float) -> str:
        failed = f", {self.counts['failed']} failed" if self.counts["failed"] else ""
        return f"{self.encoded / (time.monotonic() - began):.0f} images/s{failed}"

    def _commit_when_due(self) -> None:
        pending = len(self.changes) + len(self.failures)
        if pending >= COMMIT_IMAGES or time.monotonic() - self.committed_at > COMMIT_SECONDS:
            self._commit()
            self.committed_at = time.monotonic()

    def _commit(self) -> None:
        """Commit what was recorded; see `VectorWriter.commit` for the order of writing."""
        with uninterrupted():
            vectors = np.concatenate(self.vectors) if self.vectors else np.empty((0, self.encoder.dim), np.float16)
            self.labels += self.writer.commit(self.changes, vectors, self.next_item, self.failures, change=self.change)
            self.changes, self.vectors, self.failures = [], [], []

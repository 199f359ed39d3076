"""Reading every byte of a store: what is damaged, what is at risk, and how it is repaired."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from featurestore.catalog import EncoderRecord
from featurestore.encoders.encoder import fingerprint
from featurestore.errors import EncoderError, StoreCorrupt, StoreNotFound
from featurestore.maintenance.backups import Backups
from featurestore.maintenance.findings import Finding, VerifyReport
from featurestore.maintenance.log_repair import log_damage
from featurestore.maintenance.optimization import copy_rows
from featurestore.maintenance.untrusted import hard_linked, untrusted
from featurestore.progress import Listener
from featurestore.storage import Layout, Storage
from featurestore.system.checksums import BlockChecksum, FileChecksum, covers
from featurestore.system.lock import catalog_lock, writer_lock
from featurestore.system.no_follow import delete_within
from featurestore.system.text import as_argument


def verify(store: Storage, repair: bool = False, listener: Listener | None = None) -> VerifyReport:
    """Read every byte of a store and compare it with the checksums; with `repair`, repair what can be, and move away what cannot.

    Raises StoreNotFound, StoreBusy, DiskError.
    """
    untrusted_files = tuple(untrusted(store.layout, repair))
    if untrusted_files and not repair:
        return VerifyReport(untrusted_files, 0, 0, 0.0)
    with ExitStack() as locks:
        if repair:
            locks.enter_context(writer_lock(store.path))
            locks.enter_context(catalog_lock(store.path))
        report = Verification(store, listener or Listener(), repair).run()
    return replace(report, findings=(*untrusted_files, *report.findings))


def verify_path(path: str | Path, repair: bool = False, listener: Listener | None = None) -> VerifyReport:
    """Verify a store that may be too damaged to be opened. Raises StoreNotFound, StoreBusy, DiskError."""
    untrusted_files = tuple(untrusted(Layout(Path(path)), repair))
    if untrusted_files and not repair:
        return VerifyReport(untrusted_files, 0, 0, 0.0)
    try:
        store = Storage.open(path)
    except StoreCorrupt:
        store = Storage(Path(path), None, "cpu")
    report = verify(store, repair, listener)
    return replace(report, findings=(*untrusted_files, *report.findings))


@dataclass
class Verification:
    """One reading of a store; with `repair`, each finding is repaired when it is found. Then it must be the only writer."""

    store: Storage
    listener: Listener
    repair: bool
    vectors: int = 0
    bytes: int = 0

    def run(self) -> VerifyReport:
        """Read everything. Raises DiskError when the disk cannot be read."""
        self.catalog, self.layout = self.store.catalog, self.store.layout
        self.backups = Backups(self.layout, self.catalog)
        began = time.monotonic()
        findings = tuple(self._findings())
        return VerifyReport(findings, self.vectors, self.bytes, round(time.monotonic() - began, 2))

    def _findings(self) -> Iterator[Finding]:
        """The catalog comes first, because everything else is checked against it; before it, whether it may be written."""
        yield from hard_linked(self.store, self.repair)
        self.listener.start("reading the catalog", None)
        problem = self.catalog.repair.unreadable()
        if problem is not None and (finding := log_damage(self.store, self.backups, problem, self.repair)) is not None:
            yield finding
            if not self.repair:
                return
            problem = self.catalog.repair.unreadable()
        if problem is not None:
            yield self._catalog_damage(problem)
            if not self.repair:
                return
        if not self.layout.is_store():
            return  # nothing of it could be saved
        contradictions = self.catalog.repair.contradictions()
        if contradictions and self.repair:
            self.backups.keep_catalog(copy=True)
            self.catalog.repair.resolve_contradictions()
        for text in contradictions:
            yield Finding(
                "catalog.duckdb", text, "all other items, with their labels and vectors",
                "keeps a copy in damaged/ and makes the catalog consistent", repaired=self.repair,
            )  # fmt: skip
        records = self.catalog.encoders.all()
        self.listener.start("reading vectors", sum(record.rows for record in records))
        for record in records:
            yield from self._vectors(record.fingerprint)
            yield from self._index(record)
            yield from self._encoder(record)
        yield from self._unused_files()

    def _catalog_damage(self, problem: str) -> Finding:
        safe = "vectors and encoders; all items and labels outside the damaged blocks"
        repair = "moves the catalog to damaged/ and saves what can be read of it; items that cannot be read are encoded again by the next index, and labels of theirs that came from a file must be given again"
        if self.repair:
            try:
                lost = self.catalog.repair.salvage(self.backups.keep_catalog)
                repair = "moved it to damaged/; saved everything but " + (
                    ", ".join(f"{n} {what}" for what, n in lost.items()) or "what follows from the rest"
                )
            except (StoreCorrupt, StoreNotFound):
                for path in sorted(self.layout.vectors.glob("*.f16*")):
                    self.backups.keep(path)
                    delete_within(path)
                self.backups.keep_catalog()
                delete_within(self.layout.catalog)
                repair = "nothing of it could be read: moved it to damaged/, with the vectors, which are useless without it; index again"
        return Finding("catalog.duckdb", problem, safe, repair, repaired=self.repair)

    def _vectors(self, encoder: str) -> Iterator[Finding]:
        record, blocks = self.catalog.encoders.blocks(encoder)
        file = self.store.vector_file(record)
        place = f"vectors/{record.file}"
        if not covers(blocks, record.rows):
            if self.repair:
                blocks = file.checksums(record.rows)
                self.catalog.encoders.set_blocks(record.fingerprint, blocks)
            yield Finding(
                place, "its checksums do not cover its rows", "the vectors, as far as that is known without checksums",
                "computes the checksums again from the file as it is", repaired=self.repair,
            )  # fmt: skip
        damaged = file.damaged(blocks, self._advance)
        on_disk = file.rows_on_disk()
        if not damaged and on_disk < record.rows:
            damaged = [BlockChecksum(on_disk, record.rows - on_disk, "")]  # missing rows without a checksum
        if damaged and self.catalog.encoders.blocks(encoder)[0].file != record.file:
            yield from self._vectors(encoder)  # `optimize` has published another file
        elif damaged:
            yield self._damaged_vectors(record, damaged, place)
        elif on_disk > record.rows and on_disk > self.catalog.encoders.blocks(encoder)[0].rows:
            yield Finding(
                place, f"{on_disk - record.rows} rows after the last committed one, left by a stopped run, or just being written",
                "everything", "nothing: the next index cuts them off", damage=False,
            )  # fmt: skip
        self.bytes += 2 * record.dim * record.rows

    def _index(self, record: EncoderRecord) -> Iterator[Finding]:
        known = self.catalog.indexes.of_encoder(record.fingerprint)
        if known is None:
            return
        path = self.layout.index_file(known)
        try:
            self.listener.start(f"reading the index of {record.name}", None)
            intact = FileChecksum.of(path) == FileChecksum(known.bytes, known.sha256)
            problem = None if intact else "damaged: it does not match its checksum"
            self.bytes += known.bytes
        except OSError as error:
            problem = "missing" if not path.exists() else f"cannot be read ({error.strerror})"
        if problem is None or known != self.catalog.indexes.of_encoder(record.fingerprint):
            return  # intact, or `optimize` has published another one
        if self.repair:
            self.catalog.indexes.drop(record.fingerprint)
            delete_within(path)
        yield Finding(
            f"indexes/{known.file}", problem, "everything: until then searches look at all vectors",
            "removes it; the next optimize builds it again from the vectors", repaired=self.repair,
        )  # fmt: skip

    def _advance(self, rows: int) -> None:
        self.vectors += rows
        self.listener.advance(rows)

    def _damaged_vectors(self, record: EncoderRecord, damaged: list[BlockChecksum], place: str) -> Finding:
        rows, items = self.catalog.encoded.rows_in_use(record.fingerprint)
        intact = np.ones(len(rows), bool)
        for block in damaged:
            intact[np.searchsorted(rows, block.first) : np.searchsorted(rows, block.end)] = False
        old = self.store.vector_file(record)
        problem = (
            f"{len(damaged)} blocks are damaged or missing: the vectors of {np.count_nonzero(~intact)} of {len(intact)} items"
            if old.path.exists()
            else f"the file is missing, with the vectors of {len(intact)} items"
        )
        repair = "copies the intact vectors to a new file and moves the damaged one to damaged/; the other items are encoded again by the next index"
        if self.repair:
            repair = (
                f"moved it to {self.backups.keep(old.path)}; index again: the items without a vector are encoded again"
            )
            readable = intact & (rows < old.rows_on_disk())
            copy_rows(self.store, record, rows[readable], items[readable])
            delete_within(old.path)
        safe = f"items, labels and the vectors of {np.count_nonzero(intact)} items"
        return Finding(place, problem, safe, repair, repaired=self.repair)

    def _encoder(self, record: EncoderRecord) -> Iterator[Finding]:
        path = self.layout.encoder_file(record.fingerprint)
        place = f"encoders/{path.name}"
        safe = "all vectors; searches by id and by vector"
        give = f"put the encoder {record.name} back, or give it: featurestore index {as_argument(self.store.path)} SOURCE --encoder encoder.onnx"
        try:
            found = fingerprint(path)
        except EncoderError as error:
            problem = "the encoder's file is missing" if not path.exists() else str(error)
            yield Finding(place, problem, safe, f"nothing: {give}")
            return
        if found != record.fingerprint:
            repair = f"moves it to damaged/; then {give}"
            if self.repair:
                repair = f"moved it to {self.backups.keep(path)}; {give}"
                delete_within(path)
            yield Finding(place, f"not the file that made the vectors: its SHA-256 is {found[:16]}…", safe, repair)

    def _unused_files(self) -> Iterator[Finding]:
        files = sorted(self.layout.vectors.glob("*.f16*"))  # listed before the encoders: a writer may add one meanwhile
        records = self.catalog.encoders.all()
        old_vectors = [path for record in records for path in self.layout.unused_vector_files(record)]
        old_indexes = self.layout.unused_index_files(self.catalog.indexes.all())
        dropped = self.layout.dropped_files(records)
        for path in dict.fromkeys([*old_vectors, *self.layout.part_files(), *old_indexes, *dropped]):
            yield Finding(
                str(path.relative_to(self.store.path)), "left by a stopped run, or just being written",
                "everything", "nothing: the next optimize removes it", damage=False,
            )  # fmt: skip
        known = {record.fingerprint[:16] for record in records}
        for path in files:
            if path.name[:16] not in known and path not in dropped:
                repair = "moves it to damaged/: another catalog of this store, such as one in a backup, may know it"
                if self.repair:
                    repair = f"moved it to {self.backups.keep(path)}: another catalog of this store, such as one in a backup, may know it"
                    delete_within(path)
                yield Finding(
                    f"vectors/{path.name}", "vectors of an encoder that is not in the catalog", "everything else", repair, repaired=self.repair,
                )  # fmt: skip

"""Reading every byte of a store: what is wrong, what that puts at risk, and putting it right."""

import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from featurestore.catalog import Catalog, EncoderRecord
from featurestore.encoders.encoder import fingerprint
from featurestore.errors import DiskError, EncoderError, StoreCorrupt, StoreNotFound
from featurestore.maintenance.optimize import leftovers, move_rows, unused_indexes
from featurestore.progress import Listener
from featurestore.storage.encoder_files import KeptEncoders
from featurestore.storage.vectors import VectorFile
from featurestore.system.checksums import Block, FileChecksum, covers
from featurestore.system.disk import sync_file, sync_folder


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing in a store that is not as it should be."""

    place: str  # the file
    problem: str  # what is wrong
    safe: str  # what is not touched by it
    repair: str  # what `verify --repair` does about it, or has done
    damage: bool = True  # False: harmless, and a later command sees to it
    repaired: bool = False


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What a reading of the whole store found."""

    findings: tuple[Finding, ...]
    vectors: int  # read
    bytes: int  # of them
    seconds: float

    @property
    def damaged(self) -> bool:
        """Whether there is damage that was not repaired."""
        return any(finding.damage and not finding.repaired for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        return {"damaged": self.damaged, **asdict(self)}


@dataclass
class Verification:
    """One reading of a store; with `mend`, by its only writer, each finding is put right as it is met."""

    catalog: Catalog
    store: Path
    encoders: KeptEncoders
    listener: Listener
    mend: bool
    vectors: int = 0
    bytes: int = 0

    def run(self) -> VerifyReport:
        """Read everything; raises DiskError when the disk cannot be read."""
        began = time.monotonic()
        findings = tuple(self._findings())
        return VerifyReport(findings, self.vectors, self.bytes, round(time.monotonic() - began, 2))

    def _findings(self) -> Iterator[Finding]:
        """Catalog first: without it nothing else can be told."""
        self.listener.start("reading the catalog", None)
        problem = self.catalog.unreadable()
        if problem is not None:
            yield self._catalog_damage(problem)
            if not self.mend:
                return
        if not (self.store / "catalog.duckdb").exists():
            return  # nothing could be saved of it
        contradictions = self.catalog.contradictions()
        if contradictions and self.mend:
            self._keep_catalog(copy=True)
            self.catalog.settle()
        for text in contradictions:
            yield Finding(
                "catalog.duckdb", text, "all other items, with their labels and vectors",
                "keeps a copy in damaged/ and makes the catalog agree with itself", repaired=self.mend,
            )  # fmt: skip
        records = self.catalog.encoders()
        self.listener.start("reading vectors", sum(record.rows for record in records))
        for record in records:
            yield from self._vectors(record.fingerprint)
            yield from self._index(record)
            yield from self._encoder(record)
        yield from self._strangers()

    def _catalog_damage(self, problem: str) -> Finding:
        safe = "vectors and encoders; of items and labels whatever lies outside the damaged blocks"
        repair = "keeps the catalog in damaged/ and saves what can be read of it; items that cannot are encoded again by the next index, labels of theirs that came from a file are to be given again"
        if self.mend:
            try:
                lost = self.catalog.salvage(self._keep_catalog)
                repair = "kept it in damaged/; saved all but " + (
                    ", ".join(f"{n} {what}" for what, n in lost.items()) or "what can be told from the rest"
                )
            except (StoreCorrupt, StoreNotFound):
                for path in sorted((self.store / "vectors").glob("*.f16*")):
                    self._keep(path)
                    path.unlink(missing_ok=True)
                self._keep_catalog()
                (self.store / "catalog.duckdb").unlink(missing_ok=True)
                repair = "nothing could be read of it: moved it to damaged/, with the vectors, which cannot be told apart without it; index again"
        return Finding("catalog.duckdb", problem, safe, repair, repaired=self.mend)

    def _vectors(self, encoder: str) -> Iterator[Finding]:
        record, blocks = self.catalog.blocks(encoder)
        file = VectorFile(self.store / "vectors" / record.file, record.dim)
        place = f"vectors/{record.file}"
        if not covers(blocks, record.rows):
            if self.mend:
                blocks = file.seal(record.rows)
                self.catalog.set_blocks(record.fingerprint, blocks)
            yield Finding(
                place, "its checksums are not those of its rows", "the vectors, as far as that can be told without checksums",
                "takes the checksums anew from the file as it is", repaired=self.mend,
            )  # fmt: skip
        damaged = file.damaged(blocks, self._tick)
        if not damaged and file.held() < record.rows:
            damaged = [Block(file.held(), record.rows - file.held(), "")]  # rows without checksums that are missing
        if damaged and self.catalog.blocks(encoder)[0].file != record.file:
            yield from self._vectors(encoder)  # `optimize` has put another file in its place
        elif damaged:
            yield self._damaged_vectors(record, damaged, place)
        elif file.held() > record.rows and file.held() > self.catalog.blocks(encoder)[0].rows:
            yield Finding(
                place, f"{file.held() - record.rows} rows behind the last that counts, left by a run that was cut off, or just being written",
                "everything", "nothing: the next index writes over them", damage=False,
            )  # fmt: skip
        self.bytes += 2 * record.dim * record.rows

    def _index(self, record: EncoderRecord) -> Iterator[Finding]:
        known = self.catalog.index_of(record.fingerprint)
        if known is None:
            return
        path = self.store / "indexes" / known.file
        try:
            self.listener.start(f"reading the index of {record.name}", None)
            problem = (
                None
                if FileChecksum.of(path) == FileChecksum(known.bytes, known.sha256)
                else "damaged: not what its checksum says"
            )
            self.bytes += known.bytes
        except OSError as error:
            problem = "missing" if not path.exists() else f"cannot be read ({error.strerror})"
        if problem is None or known != self.catalog.index_of(
            record.fingerprint
        ):  # `optimize` has put another in its place
            return
        if self.mend:
            self.catalog.drop_index(record.fingerprint)
            path.unlink(missing_ok=True)
        yield Finding(
            f"indexes/{known.file}", problem, "everything: searches look at all vectors meanwhile",
            "removes it; the next optimize builds it anew from the vectors", repaired=self.mend,
        )  # fmt: skip

    def _tick(self, rows: int) -> None:
        self.vectors += rows
        self.listener.advance(rows)

    def _damaged_vectors(self, record: EncoderRecord, damaged: list[Block], place: str) -> Finding:
        rows, items = self.catalog.placed(record.fingerprint)
        whole = np.ones(len(rows), bool)
        for block in damaged:
            whole[np.searchsorted(rows, block.first) : np.searchsorted(rows, block.end)] = False
        old = self.store / "vectors" / record.file
        problem = (
            f"{len(damaged)} blocks are damaged or missing: the vectors of {np.count_nonzero(~whole)} of {len(whole)} items"
            if old.exists()
            else f"the file is missing, with the vectors of {len(whole)} items"
        )
        repair = "writes the whole vectors into a new file and moves the damaged one to damaged/; the other items are encoded again by the next index"
        if self.mend:
            repair = f"kept it as {self._keep(old)}; index again: the items without a vector are encoded anew"
            readable = whole & (rows < VectorFile(old, record.dim).held())
            move_rows(self.catalog, old.parent, record, rows[readable], items[readable])
            old.unlink(missing_ok=True)
        return Finding(
            place, problem, f"items, labels and the vectors of {np.count_nonzero(whole)} items", repair, repaired=self.mend
        )  # fmt: skip

    def _encoder(self, record: EncoderRecord) -> Iterator[Finding]:
        path = self.encoders.path(record.fingerprint)
        place = f"encoders/{path.name}"
        safe = "all vectors; searches by id and by vector"
        give = f"put the encoder {record.name} back, or give it: featurestore index {self.store} SOURCE --encoder encoder.onnx"
        try:
            found = fingerprint(path)
        except EncoderError as error:
            yield Finding(
                place, "the encoder's file is missing" if not path.exists() else str(error), safe, f"nothing: {give}"
            )
            return
        if found != record.fingerprint:
            repair = f"moves it to damaged/; then {give}"
            if self.mend:
                repair = f"moved it to {self._keep(path)}; {give}"
                path.unlink()
            yield Finding(place, f"not the file that made the vectors: its SHA-256 is {found[:16]}…", safe, repair)

    def _strangers(self) -> Iterator[Finding]:
        files = sorted((self.store / "vectors").glob("*.f16*"))  # before the encoders: a writer may add one meanwhile
        records = self.catalog.encoders()
        parts = [path for folder in (self.store, self.encoders.folder) for path in sorted(folder.glob("*.part*"))]
        unneeded = [path for record in records for path in leftovers(self.store / "vectors", record)]
        for path in dict.fromkeys([*unneeded, *parts, *unused_indexes(self.catalog, self.store)]):
            yield Finding(
                str(path.relative_to(self.store)), "left by a run that was cut off, or just being written",
                "everything", "nothing: the next optimize removes it", damage=False,
            )  # fmt: skip
        known = {record.fingerprint[:16] for record in records}
        for path in files:
            if path.name[:16] not in known:
                yield Finding(
                    f"vectors/{path.name}", "vectors of an encoder that the catalog does not know", "everything else",
                    "nothing: a catalog from before may know it",
                )  # fmt: skip

    def _keep_catalog(self, copy: bool = False) -> None:
        """Keep the catalog and the log beside it in damaged/; with `copy`, what has its name now may be changed in place."""
        path, log = self.store / "catalog.duckdb", self.store / "catalog.duckdb.wal"
        with self.catalog.closed():
            kept = self._keep(path, copy)
            if log.exists():
                self._keep(log, copy, Path(f"{kept}.wal"))
                if not copy:
                    log.unlink()

    def _keep(self, path: Path, copy: bool = False, to: Path | None = None) -> Path:
        """Keep a file in damaged/, by default under a name of its own; with `copy`, what has its name now may be changed in place."""
        folder = self.store / "damaged"
        stamp = time.strftime("%Y%m%d-%H%M%S")
        try:
            folder.mkdir(exist_ok=True)
            to = to or next(p for n in count(1) if not (p := folder / f"{stamp}-{n}-{path.name}").exists())
            if path.exists():
                _link(path, to, copy)
            sync_folder(folder)
        except OSError as error:
            raise DiskError(
                f"{folder}: {path.name} could not be kept there ({error.strerror}); nothing was changed: free some space and run the same command again"
            ) from error
        return to


def _link(path: Path, to: Path, copy: bool) -> None:
    """Give a file a second name; where the disk knows no such thing, a copy."""
    if not copy:
        with suppress(OSError):
            to.hardlink_to(path)
            return
    shutil.copyfile(path, to)
    sync_file(to)

"""Reading every byte of a store: what is wrong, what that puts at risk, and putting it right."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from featurestore.blocks import Block
from featurestore.catalog import Catalog, EncoderRecord
from featurestore.encoder import fingerprint
from featurestore.errors import EncoderError, StoreCorrupt, StoreNotFound
from featurestore.kept import KeptEncoders
from featurestore.optimizing import leftovers, move_rows
from featurestore.progress import Listener
from featurestore.results import Finding, VerifyReport
from featurestore.vectors import VectorFile


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
            self.catalog.settle()
        for text in contradictions:
            yield Finding(
                "catalog.duckdb",
                text,
                "all other items, with their labels and vectors",
                "makes the catalog agree with itself",
            )
        records = self.catalog.encoders()
        self.listener.start("reading vectors", sum(record.rows for record in records))
        for record in records:
            yield from self._vectors(record)
            yield from self._encoder(record)
        yield from self._strangers(self.catalog.encoders())

    def _catalog_damage(self, problem: str) -> Finding:
        safe = "vectors and encoders; of items and labels whatever lies outside the damaged blocks"
        repair = "moves the catalog to damaged/ and saves what can be read of it; items that cannot are encoded again by the next index, labels of theirs that came from a file are to be given again"
        if self.mend:
            try:
                lost = self.catalog.salvage(self._move_aside(self.store / "catalog.duckdb"))
                repair = "moved it to damaged/ and saved all but " + (
                    ", ".join(f"{n} rows of {table}" for table, n in lost.items() if n) or "columns that are found anew"
                )
            except (StoreCorrupt, StoreNotFound):
                for path in sorted((self.store / "vectors").glob("*.f16*")):
                    self._move_aside(path)
                repair = "nothing could be read of it: moved it to damaged/, with the vectors, which cannot be told apart without it; index again"
        return Finding("catalog.duckdb", problem, safe, repair)

    def _vectors(self, record: EncoderRecord) -> Iterator[Finding]:
        folder = self.store / "vectors"
        file = VectorFile(folder / record.file, record.dim)
        place = f"vectors/{record.file}"
        blocks = self.catalog.blocks(record.fingerprint)
        if not _cover(blocks, record.rows):
            if self.mend:
                blocks = file.seal(0, min(record.rows, file.held()))
                self.catalog.set_blocks(record.fingerprint, blocks)
            yield Finding(
                place, "its checksums are not those of its rows", "the vectors, as far as that can be told without checksums",
                "takes the checksums anew from the file as it is",
            )  # fmt: skip
        damaged = file.damaged(blocks, self._tick)
        self.bytes += 2 * record.dim * record.rows
        if not damaged and file.held() < record.rows:
            damaged = [Block(file.held(), record.rows - file.held(), "")]  # rows without checksums that are missing
        if damaged:
            yield self._damaged_vectors(record, damaged, place)
        elif file.held() > record.rows:
            yield Finding(
                place, f"{file.held() - record.rows} rows behind the last that counts, left by a run that was cut off",
                "everything", "nothing: the next index writes over them", damage=False,
            )  # fmt: skip

    def _tick(self, rows: int) -> None:
        self.vectors += rows
        self.listener.advance(rows)

    def _damaged_vectors(self, record: EncoderRecord, damaged: list[Block], place: str) -> Finding:
        items = self.catalog.contents(record.fingerprint)
        whole = np.ones(len(items.rows), bool)
        for block in damaged:
            whole[np.searchsorted(items.rows, block.first) : np.searchsorted(items.rows, block.end)] = False
        old = self.store / "vectors" / record.file
        problem = (
            f"{len(damaged)} blocks are damaged or missing: the vectors of {np.count_nonzero(~whole)} of {len(whole)} items"
            if old.exists()
            else f"the file is missing, with the vectors of {len(whole)} items"
        )
        repair = "writes the whole vectors into a new file and moves the damaged one to damaged/; the other items are encoded again by the next index"
        if self.mend:
            held = VectorFile(old, record.dim).held()
            readable = whole & (items.rows < held)
            move_rows(
                self.catalog,
                old.parent,
                replace(record, rows=min(record.rows, held)),
                items.rows[readable],
                items.ids[readable],
            )
            if old.exists():
                repair = (
                    f"moved it to {self._move_aside(old)}; index again: the items without a vector are encoded anew"
                )
        return Finding(place, problem, f"items, labels and the vectors of {np.count_nonzero(whole)} items", repair)

    def _encoder(self, record: EncoderRecord) -> Iterator[Finding]:
        path = self.encoders.path(record.fingerprint)
        place = f"encoders/{path.name}"
        safe = "all vectors; searches by id and by vector"
        give = f"put the encoder {record.name} back, or give it: featurestore index {self.store} SOURCE --encoder encoder.onnx"
        try:
            found = fingerprint(path)
        except EncoderError:
            yield Finding(place, "the encoder's file is missing", safe, f"nothing: {give}")
            return
        if found != record.fingerprint:
            repair = f"moves it to damaged/; then {give}"
            if self.mend:
                repair = f"moved it to {self._move_aside(path)}; {give}"
            yield Finding(place, f"not the file that made the vectors: its SHA-256 is {found[:16]}…", safe, repair)

    def _strangers(self, records: list[EncoderRecord]) -> Iterator[Finding]:
        unneeded = [path for record in records for path in leftovers(self.store / "vectors", record)]
        parts = [path for folder in (self.store, self.encoders.folder) for path in sorted(folder.glob("*.part*"))]
        for path in dict.fromkeys([*unneeded, *parts]):
            yield Finding(
                str(path.relative_to(self.store)), "left by a run that was cut off", "everything", "nothing: the next optimize removes it", damage=False
            )  # fmt: skip
        known = {record.fingerprint[:16] for record in records}
        for path in sorted((self.store / "vectors").glob("*.f16")):
            if path.name[:16] not in known:
                yield Finding(
                    f"vectors/{path.name}", "vectors of an encoder that the catalog does not know", "everything else",
                    "nothing: a catalog from before may know it", damage=True,
                )  # fmt: skip

    def _move_aside(self, path: Path) -> Path:
        """Move a file into damaged/, under a name that was not there before."""
        folder = self.store / "damaged"
        folder.mkdir(exist_ok=True)
        to = folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{path.name}"
        number = 1
        while to.exists():
            number += 1
            to = folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{number}-{path.name}"
        for suffix in ("", ".wal"):
            if Path(f"{path}{suffix}").exists():
                Path(f"{path}{suffix}").rename(f"{to}{suffix}")
        return to


def _cover(blocks: list[Block], rows: int) -> bool:
    """Whether blocks follow one another without gaps from row 0 to the last."""
    end = 0
    for block in blocks:
        if block.first != end or block.rows < 1:
            return False
        end = block.end
    return end == rows

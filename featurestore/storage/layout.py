"""Where each file of a store lies."""

import os
from dataclasses import dataclass
from pathlib import Path

from featurestore.catalog import EncoderRecord, IndexRecord

CATALOG = "catalog.duckdb"


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths inside a store's directory."""

    root: Path

    @property
    def catalog(self) -> Path:
        return self.root / CATALOG

    @property
    def catalog_log(self) -> Path:
        """DuckDB's log, beside the catalog."""
        return self.root / f"{CATALOG}.wal"

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    @property
    def catalog_lock(self) -> Path:
        return self.root / "catalog.lock"

    @property
    def vectors(self) -> Path:
        return self.root / "vectors"

    @property
    def encoders(self) -> Path:
        return self.root / "encoders"

    @property
    def indexes(self) -> Path:
        return self.root / "indexes"

    @property
    def derived(self) -> Path:
        """What is computed from the items and vectors, and computed again when it is missing."""
        return self.root / "derived"

    @property
    def damaged(self) -> Path:
        """Where repair moves what it replaces."""
        return self.root / "damaged"

    def vector_file(self, record: EncoderRecord) -> Path:
        return self.vectors / record.file

    def next_vector_file(self, record: EncoderRecord) -> Path:
        """The name for a new vector file of an encoder: <fingerprint16>-<generation>.f16, the first one without a generation."""
        _, _, generation = Path(record.file).stem.partition("-")
        return self.vectors / f"{record.fingerprint[:16]}-{int(generation or 1) + 1}.f16"

    def unused_vector_files(self, record: EncoderRecord) -> list[Path]:
        """Vector files of an encoder that are not in use: older ones, and one that was never published."""
        found = sorted(self.vectors.glob(f"{record.fingerprint[:16]}*.f16*"))
        return [path for path in found if path.name != record.file]

    def encoder_file(self, fingerprint: str) -> Path:
        return self.encoders / f"{fingerprint[:16]}.onnx"

    def dropped_mark(self, fingerprint: str) -> Path:
        """An empty file that says: the encoder is being dropped, and once the catalog does not name it, its files are useless."""
        return self.encoders / f"{fingerprint[:16]}.dropped"

    def dropped_files(self, records: list[EncoderRecord]) -> list[Path]:
        """What a stopped drop of an encoder left: its files if the catalog no longer names it, and its mark, which comes last."""
        known = {record.fingerprint[:16] for record in records}
        files: list[Path] = []
        for mark in sorted(self.encoders.glob("*.dropped")):
            if mark.stem not in known:
                places = (
                    (self.vectors, "*.f16*"),
                    (self.indexes, "-*.faiss*"),
                    (self.derived, "*.knn*"),
                    (self.derived, ".pairs*"),
                    (self.encoders, ".onnx*"),
                )
                files += [path for folder, end in places for path in sorted(folder.glob(mark.stem + end))]
            files.append(mark)
        return files

    def index_file(self, record: IndexRecord) -> Path:
        return self.indexes / record.file

    def new_index_file(self, fingerprint: str, generation: int) -> Path:
        return self.indexes / f"{fingerprint[:16]}-{generation}.faiss"

    def unused_index_files(self, records: list[IndexRecord]) -> list[Path]:
        """Index files that the catalog does not name: older ones, and those that were never published."""
        named = {record.file for record in records}
        return [path for path in sorted(self.indexes.glob("*.faiss*")) if path.name not in named]

    def graph_file(self, record: EncoderRecord) -> Path:
        """The k-NN graph of an encoder's vectors, named after their file, so that another file of vectors has another graph."""
        return self.derived / f"{Path(record.file).stem}.knn"

    @property
    def thumbnails(self) -> Path:
        return self.derived / "thumbnails.grey"

    def pairs_file(self, record: EncoderRecord) -> Path:
        """The pairs of contents that show the same picture, found by an encoder."""
        return self.derived / f"{record.fingerprint[:16]}.pairs"

    def unused_derived_files(self, records: list[EncoderRecord]) -> list[Path]:
        """Graphs of vector files that are not in use, pairs of encoders that are not there, and files that were never published."""
        named = {path.name for record in records for path in (self.graph_file(record), self.pairs_file(record))}
        found = [*self.derived.glob("*.knn*"), *self.derived.glob("*.pairs*")]
        return sorted(path for path in found if path.name not in named)

    def encoder_parts(self) -> list[Path]:
        """Encoder files that a stopped process left half written."""
        return sorted(self.encoders.glob("*.part*"))

    def part_files(self) -> list[Path]:
        """The same, and what is left of catalogs: NAME.part-<random>, for a catalog a folder; of older versions NAME.part."""
        return [*sorted(self.root.glob(f"{CATALOG}.part*")), *self.encoder_parts()]

    def is_store(self) -> bool:
        """Whether there is a catalog, or a link in its place, which whoever opens it refuses."""
        return os.path.lexists(self.catalog)

    def may_become_store(self) -> bool:
        """Whether a store may be created here: nothing is there, or only what a stopped creation left."""
        if not self.root.exists():
            return True
        ours = {"lock", "catalog.lock", "vectors", "encoders", "indexes", "derived", "damaged"}
        return self.root.is_dir() and all(
            path.name in ours or path.name.startswith(f"{CATALOG}.part") for path in self.root.iterdir()
        )

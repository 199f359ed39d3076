"""The life of a store, step by step, such that every step can be killed and done again."""

import hashlib
import tarfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from featurestore import FeatureStore
from featurestore.encoders.encoder import Encoder
from tests.featurestore.children import Child
from tests.featurestore.fakes import paint

COUNT = 40
BATCH, COMMIT = 4, 8
GOLDEN = Path(__file__).parent / "golden"
STEPS = (
    "index",
    "label",
    "annotate",
    "classify",
    "index again",
    "delete",
    "optimize",
    "index once more",
    "build an index",
    "import",
)
INDEXED_FROM = 35  # rows: more than are left when the store is first optimized, fewer than when it is for an index
SIZES: dict[str, Any] = {
    "featurestore.encoders.encoder.BATCH": BATCH,
    "featurestore.ingest.ingest.COMMIT_IMAGES": COMMIT,
    "featurestore.ann.tuning.WORTH_ROWS": INDEXED_FROM,
    "featurestore.ann.tuning.WORTH_NUMBERS": 0,
    "featurestore.ann.build.KS": (3, 8),
    "featurestore.ann.build.MOST_CANDIDATES": (20, 30),
}


@dataclass(frozen=True)
class Life:
    """Where one store lives."""

    root: Path
    encoder: Path

    @property
    def store(self) -> Path:
        return self.root / "my.store"

    @property
    def encoded(self) -> int:
        """Images that were encoded so far, by all processes together."""
        log = self.root / "encoded"
        return log.stat().st_size if log.exists() else 0

    def small(self, set_value: Callable[[str, Any], None]) -> None:
        """Make batches and indexes small, and have it noted how many images are encoded."""
        for name, value in SIZES.items():
            set_value(name, value)
        set_value("featurestore.encoders.encoder.Encoder.encode", count_encoded(self.root / "encoded"))

    def prepare(self, step: str) -> None:
        """Bring the pictures to what the step is to find."""
        photos = self.root / "photos"
        match step:
            case "index":
                for number in range(COUNT):
                    paint(photos / f"class{number % 3}" / f"{number:02}.png", (255, 6 * number, 0))
            case "label":
                lines = [
                    f"class{number % 3}/{number:02}.png,labelled{number // 2 % 2}" for number in range(0, COUNT, 2)
                ]
                (photos / "labels.csv").write_text("path,label\n" + "\n".join(lines))
            case "annotate":
                lines = [f"class{number % 3}/{number:02}.png,{number % 7}" for number in range(0, COUNT, 3)]
                (photos / "shelves.csv").write_text("path,shelf\n" + "\n".join(lines))
            case "index again":
                for number in range(5):
                    paint(photos / f"class{number % 3}" / f"{number:02}.png", (0, 6 * number, 255))
                for number in range(5, 10):
                    (photos / f"class{number % 3}" / f"{number:02}.png").unlink()
                for number in range(COUNT, COUNT + 12):
                    paint(photos / "new" / f"{number}.png", (60, 4 * number, 60))
                (photos / "new" / "broken.png").write_bytes(b"no picture")

    def take(self, step: str) -> None:
        """Do a step; done twice it is as if done once."""
        photos = self.root / "photos"
        match step:
            case "index" | "index again" | "index once more":
                FeatureStore.open(self.store, self.encoder).index(photos, workers=1, include_deleted=True)
            case "label":
                FeatureStore.open(self.store).label(photos / "labels.csv")
            case "annotate":
                FeatureStore.open(self.store).annotate(photos / "shelves.csv")
            case "classify":
                store = FeatureStore.open(self.store)
                store.train_classifier("kind", method="ridge")
                store.apply_classifier("kind")
            case "delete":
                FeatureStore.open(self.store).delete("label = 'labelled1' OR path LIKE '%/new/%'")
            case "optimize" | "build an index":
                FeatureStore.open(self.store).optimize()
            case "import":
                FeatureStore.open(self.store).export_vectors(self.root / "vectors.parquet")
                FeatureStore.open(self.root / "other.store", self.encoder).import_vectors(self.root / "vectors.parquet")
            case "migrate":
                FeatureStore.open(self.store)

    def old_store(self) -> None:
        """Put a store of schema 1 in place."""
        with tarfile.open(GOLDEN / "store-v1.tar.xz") as archive:
            archive.extractall(self.store, filter="data")


def count_encoded(log: Path) -> Callable[..., Any]:
    """`Encoder.encode`, that also notes in a file how many images it encodes."""
    original = Encoder.encode

    def noted(self: Encoder, pixels: Any) -> Any:
        with log.open("ab", buffering=0) as file:
            file.write(b"." * int(pixels.any(axis=(1, 2, 3)).sum()))  # what pads a batch is black
        return original(self, pixels)

    return noted


def live(pipe: Connection, life: Life, step: str) -> None:
    """Take a step in a process of its own."""
    life.small(pytest.MonkeyPatch().setattr)
    pipe.send("begin")
    life.take(step)
    pipe.send("end")


def look(store: Path) -> dict[str, Any]:
    """Everything that a store says, read past featurestore: items with label, columns, content and vector, by name; failures; indexes; classifiers."""
    with duckdb.connect(str(store / "catalog.duckdb"), read_only=True) as connection:
        [[columns]] = connection.execute("SELECT list(DISTINCT column_name) FROM duckdb_columns()").fetchall()
        shelf, kind, confidence = (
            f"i.{name}" if name in columns else "NULL" for name in ("shelf", "kind", "kind_confidence")
        )
        items = connection.execute(
            f"""SELECT i.id, i.path, i.label, {shelf}, {kind}, {confidence}, i.split, i.sha256, i.removed_at IS NULL, v.row, e.file, e.rows, e.dim
               FROM all_items i LEFT JOIN vectors v ON v.item = i.id AND v.sha256 = i.sha256 LEFT JOIN encoders e ON e.fingerprint = v.encoder"""
        ).fetchall()
        kept = connection.execute("SELECT name, sha256 FROM classifiers").fetchall() if "applied_at" in columns else []
        indexes = connection.execute("SELECT file, rows, vectors, sha256 FROM indexes").fetchall()
        failures = connection.execute("SELECT path, reason FROM failures").fetchall()
    found: dict[str, Any] = {f"failed {Path(path).name}": reason for path, reason in failures}
    found |= {f"classifier {name}": sha256 for name, sha256 in kept}
    for file, *facts in indexes:
        found[f"index {file}"] = (*facts, hashlib.sha256((store / "indexes" / file).read_bytes()).hexdigest())
    for number, path, label, *said, split, sha256, there, row, file, rows, dim in items:
        vector = None
        if row is not None and there:
            vector = np.fromfile(store / "vectors" / file, "<f2", rows * dim).reshape(rows, dim)[row].tolist()
        found[Path(path).name] = (number, label, split, sha256, there, vector, *said)
    return found


def kill_after(child: Child, seconds: float) -> bool:
    """Kill a child; whether that was before it had said that it was done."""
    time.sleep(seconds)
    child.process.kill()
    child.wait()
    try:
        return bool(child.pipe.recv() != "end")
    except EOFError:
        return True

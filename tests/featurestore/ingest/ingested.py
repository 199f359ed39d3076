"""What tests of ingest look at."""

from pathlib import Path

import duckdb
import numpy as np

from featurestore import FeatureStore, IndexReport
from tests.featurestore.fakes import unit

Counts = tuple[int, int, int, int, int]


def counts(report: IndexReport) -> Counts:
    return report.added, report.updated, report.unchanged, report.removed, report.failed


def look(store: FeatureStore) -> tuple[dict[str, int], dict[int, int], dict[str, list[float]]]:
    """Ids by name, rows by id (of removed items too) and vectors by name, read past the store at one go."""
    with duckdb.connect(str(store.path / "catalog.duckdb"), read_only=True) as connection:
        items = connection.execute("SELECT path, id FROM items").fetchall()
        known = connection.execute("SELECT v.item, v.row FROM vectors v JOIN encoders e ON e.fingerprint = v.encoder ORDER BY e.added_at DESC").fetchall()  # fmt: skip
        valid = connection.execute("SELECT v.item, v.row, v.encoder FROM vectors v JOIN items i ON i.id = v.item AND i.sha256 = v.sha256 ORDER BY v.row").fetchall()  # fmt: skip
    ids = {Path(path).stem: number for path, number in items}
    names = {number: name for name, number in ids.items()}
    assert len(ids) == len(names) == len(items), "a path or an id occurs twice"
    assert len({v[0] for v in valid}) == len({v[1] for v in valid}) == len(valid), "an item or a row occurs twice"
    [first] = {v[2] for v in valid}
    x = np.fromfile(store.path / "vectors" / f"{first[:16]}.f16", "<f2").reshape(-1, 12)
    return ids, dict(known), {names[number]: x[row].tolist() for number, row, _ in valid}


def by_name(store: FeatureStore) -> dict[str, int]:
    return look(store)[0]


def as_stored(*colours: tuple[int, int, int]) -> list[float]:
    return [float(v) for v in unit(*colours).astype(np.float16)]


def labels_of(store: FeatureStore) -> dict[str, tuple[str | None, str | None]]:
    rows = store.sql("SELECT path, label, split FROM items").to_pylist()
    return {Path(r["path"]).stem: (r["label"], r["split"]) for r in rows}

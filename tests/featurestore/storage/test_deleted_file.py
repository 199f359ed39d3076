"""Files of deleted items: values of every type come back as they were."""

import decimal
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from featurestore import FeatureStore
from featurestore.storage.deleted_file import DeletedItem, read_deleted, write_deleted

VALUES: dict[str, pa.Array] = {
    "whole": pa.array([1, None, -7], pa.int16()),
    "third": pa.array([1 / 3, float("inf"), 1e-300]),
    "single": pa.array([0.1, None, 3e30], pa.float32()),
    "yes": pa.array([True, False, None]),
    "day": pa.array([date(2026, 1, 2), None, date(1, 1, 1)]),
    "time": pa.array([datetime(2026, 1, 2, 3, 4, 5, 678), None, datetime(1900, 1, 1)], pa.timestamp("us")),
    "moment": pa.array([datetime(2026, 7, 2, 3, tzinfo=UTC), None, None], pa.timestamp("us", "UTC")),
    "price": pa.array([decimal.Decimal("1.50"), None, decimal.Decimal("-0.01")], pa.decimal128(9, 2)),
    "text": pa.array(['a, "b"\nc', None, "=1+2"]),
    "number": pa.array(["007", "1.0", "nan"]),
}


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_values_of_every_type_come_back(store: FeatureStore, tmp_path: Path, suffix: str) -> None:
    pq.write_table(pa.table({"id": [1, 2, 3], **VALUES}), tmp_path / "columns.parquet")
    store.annotate(tmp_path / "columns.parquet")
    names = list(store.catalog.columns.all())
    known = store.catalog.items.described(store.catalog.items.select("id < 4"), names)
    before = known.to_pylist()
    items = [DeletedItem(r["path"], [r["label"]], r["split"], r["id"], r["sha256"], "/kept", "near", 0.99) for r in before]  # fmt: skip
    write_deleted(tmp_path / f"gone{suffix}", items, known.select(names))
    table = read_deleted(store, tmp_path / f"gone{suffix}")
    assert table.columns is not None
    assert table.contents == {row["sha256"] for row in before}
    assert table.labels.names == (("labels" if suffix == ".jsonl" else "label"), "split")
    read = pa.Table.from_batches(table.columns.rows.reader())
    assert read["key"].to_pylist() == [row["path"] for row in before]
    for name, values in zip(names, read.columns[2:], strict=True):
        assert values.to_pylist() == [row[name] for row in before], name

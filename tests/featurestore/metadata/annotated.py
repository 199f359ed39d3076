"""Files of users that say something of items, and what a store makes of them."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from featurestore import FeatureStore
from featurestore.metadata.columns import read_columns


def csv(folder: Path, text: str, name: str = "table.csv") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def parquet(folder: Path, name: str = "table.parquet", **columns: Any) -> Path:
    pq.write_table(pa.table(columns), folder / name)
    return folder / name


def said(store: FeatureStore, column: str) -> dict[int, Any]:
    """The values of a column by item, where there is one."""
    quoted = '"' + column.replace('"', '""') + '"'
    rows = store.sql(f"SELECT id, {quoted} AS value FROM items WHERE {quoted} IS NOT NULL ORDER BY id").to_pylist()
    return {row["id"]: row["value"] for row in rows}


def types(store: FeatureStore) -> dict[str, str]:
    found: dict[str, str] = store.info()["columns"]
    return found


def taken(file: Path, key: str | None = None, **held: pa.DataType) -> dict[str, tuple[str, list[Any]]]:
    """The types and values that a file gives to items which have some columns already."""
    given = read_columns(file, key, held)
    rows = given.rows.reader().read_all()
    columns = rows.columns[2:]
    return {name: (str(c.type), c.to_pylist()) for name, c in zip(given.names, columns, strict=True)}

"""Files that say what a store forgets of items that it deletes: for people to read, and for `index --restore` to take the items back."""

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa

from featurestore.errors import ConfigError, SourceError
from featurestore.sources.column_types import as_type
from featurestore.sources.formats import is_image_name
from featurestore.sources.keyed_table import Key, KeyedTable, read_rows
from featurestore.sources.user_table import UserTable, open_table, readable
from featurestore.storage.storage import Storage
from featurestore.system.disk import atomic_write, require_suffix

COLUMNS = ("path", "label", "split", "id", "sha256", "kept", "kind", "score")  # those of the user follow
FREE = COLUMNS[5:]  # names that columns of the user may have, too
CSV, JSONL = ".csv", ".jsonl"
BY_PATH = Key("path", "path")


@dataclass(frozen=True, slots=True)
class DeletedItem:
    """An item that is deleted, as the copy of another one."""

    path: str
    labels: Sequence[str]
    split: str | None
    id: int
    sha256: str
    kept: str  # path of the item that stays
    kind: str  # how it is a copy of that: "exact" or "near"
    score: float


@dataclass(frozen=True)
class DeletedTable:
    """What such a file says."""

    labels: KeyedTable  # label or labels, and split
    columns: KeyedTable | None  # of the user, those that the store still has
    contents: frozenset[str]  # SHA-256


def require_new(path: Path) -> None:
    """Raise ConfigError unless a file of deleted items may be written there: another name, or a file that is there."""
    require_suffix(path, (CSV, JSONL), "what is deleted")
    if os.path.lexists(path):
        raise ConfigError(f"{path} exists, and is not overwritten; choose another name with --out")


def new_name(store: Path, fits_csv: bool) -> Path:
    """Give a name in the current folder that no file has: that of the store, with the date."""
    stem = f"{store.resolve().name.removesuffix('.store')}-duplicates-{date.today():%Y-%m-%d}"
    path, number = Path(f"{stem}{CSV if fits_csv else JSONL}"), 1
    while os.path.lexists(path):
        number += 1
        path = path.with_name(f"{stem}-{number}{path.suffix}")
    return path


def fits_csv(items: Sequence[DeletedItem], columns: Sequence[str]) -> bool:
    """Whether CSV can hold what is known of some items: it has no lists for several labels, and no heading like the path of an image."""
    return not any(len(item.labels) > 1 for item in items) and not any(
        is_image_name(name) or "::" in name for name in columns
    )


def write_deleted(path: Path, items: Sequence[DeletedItem], columns: pa.Table) -> None:
    """Write a new .csv or .jsonl, complete or not at all; columns: those of the user for these items, in the same order.

    Raises ConfigError where CSV cannot hold it, DiskError also where a file is there.
    """
    if path.suffix.lower() == CSV and not fits_csv(items, columns.column_names):
        raise ConfigError(f"{path}: some items have several labels, which CSV cannot hold; name it {path.stem}{JSONL}")
    texts = [column.cast(pa.string()).to_pylist() for column in columns.columns]
    names = [*_own_names(columns.column_names), *columns.column_names]
    rows = ((item, values) for item, values in zip(items, zip(*texts, strict=True) if texts else [()] * len(items), strict=True))  # fmt: skip
    lines = _csv_lines if path.suffix.lower() == CSV else _json_lines
    with atomic_write(path, "nothing was deleted; choose another place with --out", may_replace=False) as file:
        for line in lines(names, rows):
            file.write(line.encode())


def read_deleted(store: Storage, file: Path) -> DeletedTable:
    """Read such a file. Raises SourceError when it is another one, or a value does not fit the column of the store."""
    held = store.catalog.columns.all()
    with readable(file, "that duplicates --delete wrote"):
        table = open_table(file)
        names = table.schema.names
        if tuple(names[: len(COLUMNS)]) != tuple(_own_names(names[len(COLUMNS) :])):
            raise SourceError(
                f"{file}: expected what duplicates --delete wrote, with the columns {', '.join(COLUMNS)}; found {', '.join(map(repr, names)) or 'none'}"
            )
        label = table.schema.field("label").type
        several = pa.types.is_list(label)
        types = {"label": pa.list_(pa.string()) if several else pa.string(), "split": pa.string()}
        labels = read_rows(table, BY_PATH, types, lambda name, values: values.cast(types[name]))
        labels = replace(labels, names=("labels" if several else "label", "split"))
        return DeletedTable(labels, _columns(table, names[len(COLUMNS) :], held), frozenset(_texts(table, "sha256")))


def _own_names(others: Sequence[str]) -> list[str]:
    """Give the names of our columns beside those of the user."""
    taken = {name.lower() for name in others}

    def free(name: str) -> str:
        return free(f"{name}_") if name in taken else name

    return [free(name) if name in FREE else name for name in COLUMNS]


def _values(item: DeletedItem, label: str | Sequence[str] | None) -> list[Any]:
    return [
        item.path, label, item.split, item.id, item.sha256, item.kept, item.kind, round(item.score, 6),
    ]  # fmt: skip


Rows = Iterator[tuple[DeletedItem, Sequence[str | None]]]


def _csv_lines(names: Sequence[str], rows: Rows) -> Iterator[str]:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for item, others in rows:
        writer.writerow([*_values(item, next(iter(item.labels), None)), *others])
        yield text.getvalue()
        text.seek(0)
        text.truncate()
    yield text.getvalue()


def _json_lines(names: Sequence[str], rows: Rows) -> Iterator[str]:
    for item, others in rows:
        row = dict(zip(names, [*_values(item, list(item.labels) or None), *others], strict=True))
        yield json.dumps(row, ensure_ascii=False) + "\n"


def _columns(table: UserTable, names: Sequence[str], held: Mapping[str, pa.DataType]) -> KeyedTable | None:
    types = {name: held[name] for name in names if name in held}
    if not types:
        return None
    return read_rows(table, BY_PATH, types, lambda name, values: as_type(values.cast(pa.string()), types[name]))


def _texts(table: UserTable, column: str) -> Iterator[str]:
    for batch in table.batches([column]):
        yield from batch.column(0).cast(pa.string()).drop_null().to_pylist()

"""Vectors to and from a Parquet file, with their items and with the fingerprint and card of the encoder."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurestore.catalog import EncoderRecord, ItemChange, repeated_path
from featurestore.catalog.labels import COLUMNS, SOURCES
from featurestore.catalog.records import DETAILS
from featurestore.errors import EncoderNotInStore, SourceError
from featurestore.ingest.reports import ImportReport
from featurestore.metadata.columns import check_names, settle_types
from featurestore.progress import Listener
from featurestore.sources.base import as_labels
from featurestore.sources.column_types import as_type
from featurestore.storage import Storage
from featurestore.storage.snapshot import with_vectors
from featurestore.system.disk import atomic_write
from featurestore.system.spool import Spool
from featurestore.system.text import UNPRINTABLE, printable

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

KEY = b"featurestore"  # of the schema's metadata
VERSION = 1
NEWER = ("labels", "label_source", "split_source")  # columns that older files do not have
LENGTH_TOLERANCE = 2e-3  # of rows that were rounded to float16


def export_vectors(
    store: Storage, out: str | Path, encoder: str | Path | None = None, listener: Listener | None = None
) -> int:
    """Write the items of an encoder with their vectors to a Parquet file, complete or not at all; returns how many. Raises DiskError.

    Columns: those of items, the user's too, and `vector`, float32 of fixed length D (many readers do not know float16; splitting the
    bytes makes the zeros cost nothing).
    """
    import pyarrow.parquet as pq  # slow to import, and most commands do without

    listener = listener or Listener()
    fingerprint = store.encoder_record(encoder).fingerprint
    details, vectors = with_vectors(lambda: store.catalog.items.details(fingerprint), store.layout)
    record = details.encoder
    columns = list(details.rows.schema)[1:]
    metadata = {
        "version": VERSION, "fingerprint": fingerprint, "name": record.name, "dim": record.dim, "card": record.card,
        "columns": [field.name for field in columns[len(DETAILS) :]],  # the user's
    }  # fmt: skip
    schema = pa.schema([*columns, ("vector", pa.list_(pa.float32(), record.dim))], metadata={KEY: json.dumps(metadata)})
    listener.start("exporting", details.rows.rows)
    with (
        atomic_write(Path(out), "free some space or choose another place") as part,
        pq.ParquetWriter(
            part,
            schema,
            compression="zstd",
            use_dictionary=["label", "split"],
            use_byte_stream_split=["vector.list.element"],
        ) as writer,
    ):
        for batch in details.rows.reader():
            rows, *columns = batch.columns
            chosen = np.asarray(vectors[rows.to_numpy()], np.float32)
            flat = pa.FixedSizeListArray.from_arrays(chosen.ravel(), record.dim)
            writer.write_batch(pa.record_batch([*columns, flat], schema=schema))
            listener.advance(len(batch))
    return details.rows.rows


@dataclass(frozen=True, slots=True)
class Origin:
    """Which encoder made the vectors of a file, and which columns of a user it has."""

    fingerprint: str
    name: str
    columns: tuple[str, ...]  # the user's


def read_origin(path: Path) -> Origin:
    """Read which encoder made the vectors of a file. Raises SourceError when it was not written by `export_vectors`."""
    import pyarrow.parquet as pq

    try:
        said = json.loads((pq.read_schema(path).metadata or {})[KEY])
        version, fingerprint, name = int(said["version"]), str(said["fingerprint"]), printable(str(said["name"]))
        columns = tuple(map(str, said.get("columns", ())))
    except KeyError:
        raise SourceError(
            f"{path}: expected a Parquet file of export-vectors, found one that does not say which encoder made its vectors"
        ) from None
    except (OSError, pa.ArrowException, ValueError, TypeError, RecursionError) as error:
        raise SourceError(f"{path}: expected a Parquet file of export-vectors; found: {error}") from error
    if version > VERSION:
        raise SourceError(f"{path}: written by a newer featurestore (version {version}); upgrade featurestore")
    return Origin(fingerprint, name, columns)


@dataclass(frozen=True, slots=True)
class Arrivals:
    """A batch of rows of a file."""

    items: list[dict[str, Any]]  # DETAILS without the id
    vectors: NDArray[np.float32]  # (N, D)
    values: pa.Table  # the user's columns


def import_vectors(store: Storage, file: str | Path, listener: Listener | None = None) -> ImportReport:
    """Add the items and vectors of a file of `export_vectors`; paths that have a vector in the store keep theirs.

    The store must know the encoder that made them, or be opened with it. New items bring their columns of the user along. Raises
    SourceError for anything but unit-length vectors of D numbers, and for columns of another type than in the store;
    EncoderNotInStore.
    """
    path, listener = Path(file), listener or Listener()
    origin, given = read_origin(path), store.given_encoder
    if given is not None and given.fingerprint == origin.fingerprint:
        store.create()
    elif origin.fingerprint not in {record.fingerprint for record in store.catalog.encoders.all()}:
        raise EncoderNotInStore(
            f"{file}: its vectors were made by {origin.name}, which this store does not know; give that encoder: --encoder encoder.onnx"
        )
    with store.writing():
        if given is not None and given.fingerprint == origin.fingerprint:
            store.add_encoder(given)
        [record] = [r for r in store.catalog.encoders.all() if r.fingerprint == origin.fingerprint]
        return _import(store, record, path, listener)


def _import(store: Storage, record: EncoderRecord, path: Path, listener: Listener) -> ImportReport:
    catalog, writer = store.catalog, store.vector_writer(record)
    counts = dict.fromkeys(("added", "unchanged", "conflicting", "deleted"), 0)
    deleted_paths, deleted_contents = catalog.changes.deleted()
    for arrived in _batches(path, record, catalog.columns.all(), listener):
        known, next_item = catalog.changes.known(record.fingerprint, [item["path"] for item in arrived.items])
        changes: list[ItemChange] = []
        accepted: list[int] = []
        for place, item in enumerate(arrived.items):
            old = known.get(item["path"])
            if old is not None and old.encoded:
                counts["unchanged"] += 1
                continue
            if old is not None and old.sha256 != item["sha256"]:
                counts["conflicting"] += 1  # the store knows another content under that path
                continue
            if old is None and (item["path"] in deleted_paths or item["sha256"] in deleted_contents):
                counts["deleted"] += 1
                continue
            counts["added"] += 1
            number = old.id if old is not None else next_item
            next_item += old is None
            if old is not None:
                item |= dict.fromkeys(("label", "split", *NEWER))  # the store keeps its own
            row = writer.rows + len(accepted)
            changes.append(ItemChange(number, old is None, **item, row=row))
            accepted.append(place)
        if changes:
            values = _values(changes, arrived.values.take(accepted))
            writer.commit(changes, arrived.vectors[accepted], next_item, values=values)
    return ImportReport(**counts)


def _values(changes: list[ItemChange], values: pa.Table) -> pa.Table | None:
    """Select the values of the new items."""
    if not values.column_names:
        return None
    ids = pa.array([change.id for change in changes], pa.int64())
    return values.add_column(0, "id", ids).filter(pa.array([change.new for change in changes]))


def _batches(path: Path, record: EncoderRecord, held: dict[str, pa.DataType], listener: Listener) -> Iterator[Arrivals]:
    import pyarrow.parquet as pq

    needed = [field.name for field in DETAILS if field.name not in ("id", *NEWER)]
    try:
        with pq.ParquetFile(path) as source:
            _check_columns(path, source.schema_arrow, needed)
            names = [*needed, *(name for name in NEWER if name in source.schema_arrow.names)]
            types = _types_of_values(path, source.schema_arrow, held)
            _check_paths(path, source)
            listener.start("importing", source.metadata.num_rows)
            for batch in source.iter_batches(4096, columns=[*names, *types, "vector"]):
                table = pa.Table.from_batches([batch])
                schema = pa.schema([DETAILS.field(name) for name in names])
                items = table.select(names).cast(schema).to_pylist()
                vectors = _unit(path, table["vector"], record.dim)
                for item in items:
                    if not item["path"] or not item["sha256"] or UNPRINTABLE.search(item["path"]):
                        raise SourceError(
                            f"{path}: an item has no path or sha256, or a path with control characters: {item['path']!r}; nothing of its batch was imported"
                        )
                    if item.get("labels"):
                        item["label"], item["labels"] = as_labels(item["labels"])
                    item |= _sources(item)
                yield Arrivals(
                    items,
                    vectors,
                    pa.table({name: as_type(batch[name], kind) for name, kind in types.items()}),
                )
                listener.advance(len(items))
    except (OSError, pa.ArrowException) as error:
        raise SourceError(f"{path}: cannot be read: {error}; export it again") from error


def _sources(item: dict[str, Any]) -> dict[str, str | None]:
    """Say where the labels and the split of an item come from: as its file says it, or else that file."""
    found = {}
    for column, values in COLUMNS.items():
        said = item.get(f"{column}_source")
        found[f"{column}_source"] = said if said in SOURCES else "file" if any(map(item.get, values)) else None
    return found


def _types_of_values(path: Path, schema: pa.Schema, held: dict[str, pa.DataType]) -> dict[str, pa.DataType]:
    names = [name for name in read_origin(path).columns if name in schema.names]
    if not names:
        return {}
    check_names(path, names)
    return settle_types(path, pa.schema([schema.field(name) for name in names]), held)


def _check_paths(path: Path, source: "ParquetFile") -> None:
    """Read all paths first, so that a file with a repeated path is refused before anything is imported."""
    paths = Spool(pa.schema([DETAILS.field("path")]))
    for batch in source.iter_batches(65_536, columns=["path"]):
        paths.add_batch(batch.cast(paths.schema))
    found = repeated_path(paths)
    if found is not None:
        raise SourceError(f"{path}: the path of an item occurs twice: {found!r}; nothing was imported")


def _check_columns(path: Path, schema: pa.Schema, names: list[str]) -> None:
    missing = {*names, "vector"} - set(schema.names)
    if missing:
        raise SourceError(f"{path}: expected the columns of export-vectors; missing: {', '.join(sorted(missing))}")
    kind = schema.field("vector").type
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if not lists or not pa.types.is_floating(kind.value_type):
        raise SourceError(f"{path}: expected vectors as lists of floats, found {kind}; export it again")


def _unit(path: Path, column: pa.ChunkedArray, dim: int) -> NDArray[np.float32]:
    """Convert the vectors to (N, D), after checking that they are finite and of unit length."""
    flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    if column.null_count or flat.size != len(column) * dim:
        raise SourceError(
            f"{path}: expected vectors of {dim} numbers, found others; nothing of their batch was imported"
        )
    vectors: NDArray[np.float32] = flat.reshape(-1, dim)
    if not np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=LENGTH_TOLERANCE):  # also when one is NaN
        raise SourceError(f"{path}: expected vectors of length 1, found others; nothing of their batch was imported")
    return vectors

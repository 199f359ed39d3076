"""Vectors out to a Parquet file, with their items and with the fingerprint and card of the encoder, and in from that or another table."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa

from featurestore.catalog import EncoderRecord, ItemChange
from featurestore.catalog.records import DETAILS
from featurestore.encoders.encoder import Encoder
from featurestore.errors import EncoderNotInStore, ImageError, SourceError
from featurestore.ingest.footer_checksum import add_footer_checksum
from featurestore.ingest.reports import ImportReport
from featurestore.ingest.vector_batches import NEWER, batches, read_content
from featurestore.ingest.vector_table import KEY, VERSION, VectorTable, open_table
from featurestore.progress import Listener
from featurestore.storage import Storage
from featurestore.storage.snapshot import with_vectors
from featurestore.system.disk import atomic_write, require_suffix
from featurestore.system.text import counted, printable


def export_vectors(
    store: Storage, out: str | Path, encoder: str | Path | None = None, listener: Listener | None = None
) -> int:
    """Write the items of an encoder with their vectors to a Parquet file, complete or not at all; returns how many. Raises ConfigError, DiskError.

    Columns: those of items, the user's too, and `vector`, float32 of fixed length D (many readers do not know float16; splitting the
    bytes makes the zeros cost nothing).
    """
    import pyarrow.parquet as pq  # slow to import, and most commands do without

    require_suffix(Path(out), (".parquet",), "a table of vectors")
    listener = listener or Listener()
    fingerprint = store.encoder_record(encoder).fingerprint
    details, vectors = with_vectors(lambda: store.catalog.encoded.details(fingerprint), store.layout)
    record = details.encoder
    columns = list(details.rows.schema)[1:]
    metadata = {
        "version": VERSION, "fingerprint": fingerprint, "name": record.name, "dim": record.dim, "card": record.card,
        "columns": [field.name for field in columns[len(DETAILS) :]],  # the user's
    }  # fmt: skip
    schema = pa.schema([*columns, ("vector", pa.list_(pa.float32(), record.dim))], metadata={KEY: json.dumps(metadata)})
    listener.start("exporting", details.rows.rows)
    with atomic_write(Path(out), "free some space or choose another place") as file:
        with pq.ParquetWriter(
            file,
            schema,
            compression="zstd",
            use_dictionary=["label", "split"],
            use_byte_stream_split=["vector.list.element"],
            write_page_checksum=True,
        ) as writer:
            for batch in details.rows.reader():
                rows, *columns = batch.columns
                chosen = np.asarray(vectors[rows.to_numpy()], np.float32)
                flat = pa.FixedSizeListArray.from_arrays(chosen.ravel(), record.dim)
                writer.write_batch(pa.record_batch([*columns, flat], schema=schema))
                listener.advance(len(batch))
        add_footer_checksum(file)
    return details.rows.rows


def import_vectors(
    store: Storage, file: str | Path, paths: str | Path | None = None, listener: Listener | None = None
) -> ImportReport:
    """Add the items and vectors of a table; paths that have a vector in the store keep theirs.

    file: Parquet of `export_vectors` or of another program, with a column of paths and one of vectors, or a .npy of vectors (N, D),
    float32 or another float, with `paths`, a text file of N lines. The encoder that made the vectors must be known: from the file, or the
    one that the store was opened with. Vectors are scaled to length 1. A table of another program does not say what is in the files, so
    these are read. New items of `export_vectors` bring their columns of the user along. Raises SourceError for vectors that are not finite
    or have another D, repeated paths, columns of another type than in the store, and when no file can be read; EncoderNotInStore.
    """
    listener = listener or Listener()
    table, given = open_table(Path(file), None if paths is None else Path(paths)), store.given_encoder
    fingerprint = _encoder_of(table, store, given)
    if given is not None:
        store.create()
    with store.writing():
        if given is not None:
            store.add_encoder(given)
        return _import(store, store.encoder_record(fingerprint), table, listener)


def _encoder_of(table: VectorTable, store: Storage, given: Encoder | None) -> str:
    """Give the fingerprint of the encoder that made the vectors. Raises EncoderNotInStore."""
    if table.origin is None:
        if given is None:
            raise EncoderNotInStore(
                f"{table.file}: it does not say which encoder made its vectors; name it: --encoder encoder.onnx, or its name in the store"
            )
        return given.fingerprint
    if given is not None and given.fingerprint != table.origin.fingerprint:
        raise EncoderNotInStore(
            f"{table.file}: its vectors were made by {table.origin.name}, and not by {given.name}, which was given; leave it out, or give that one"
        )
    if given is None and table.origin.fingerprint not in {
        record.fingerprint for record in store.catalog.encoders.all()
    }:
        raise EncoderNotInStore(
            f"{table.file}: its vectors were made by {table.origin.name}, which this store does not know; give that encoder: --encoder encoder.onnx"
        )
    return table.origin.fingerprint


def _import(store: Storage, record: EncoderRecord, table: VectorTable, listener: Listener) -> ImportReport:
    catalog, writer = store.catalog, store.vector_writer(record)
    counts = Counter[str]()
    first_failure = ""
    deleted_paths, deleted_contents = catalog.changes.deleted()
    for arrived in batches(table, record, catalog.columns.all(), listener):
        counts["normalized"] += arrived.normalized
        known, next_item = catalog.changes.known(record.fingerprint, [item["path"] for item in arrived.items])
        changes: list[ItemChange] = []
        accepted: list[int] = []
        for place, item in enumerate(arrived.items):
            old = known.get(item["path"])
            if old is not None and old.encoded:
                counts["unchanged"] += 1
                continue
            if "sha256" not in item:
                try:
                    item |= read_content(item["path"])
                except ImageError as error:
                    counts["failed"] += 1
                    first_failure = first_failure or f"{printable(item['path'])}: {error}"
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
    if first_failure and counts["failed"] == table.rows:
        raise SourceError(f"{table.file}: none of its {table.rows} files can be read; the first, {first_failure}")
    if first_failure:
        listener.note(f"left out: {counted(counts['failed'], 'file')} that cannot be read; the first, {first_failure}")
    return ImportReport(**{name: counts[name] for name in ImportReport.__dataclass_fields__})


def _values(changes: list[ItemChange], values: pa.Table) -> pa.Table | None:
    """Select the values of the new items."""
    if not values.column_names:
        return None
    ids = pa.array([change.id for change in changes], pa.int64())
    return values.add_column(0, "id", ids).filter(pa.array([change.new for change in changes]))

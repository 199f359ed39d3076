"""Vectors to and from a Parquet file: with the items they stand for, and with the encoder's fingerprint and card."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from featurestore.catalog import Batch, Catalog, EncoderRecord, ItemChange
from featurestore.catalog.records import DETAILS
from featurestore.disk import written_whole
from featurestore.errors import SourceError
from featurestore.progress import Listener
from featurestore.results import ImportReport
from featurestore.sources.entry import UNFIT, printable
from featurestore.vectors import VectorFile
from featurestore.views import with_vectors

KEY = b"featurestore"  # of the schema's metadata
VERSION = 1
LENGTH_TOLERANCE = 2e-3  # of rows that were rounded to float16


def export_vectors(catalog: Catalog, folder: Path, encoder: str, out: Path, listener: Listener) -> int:
    """Write the items and vectors of an encoder, whole or not at all; returns how many. Raises DiskError.

    Columns: those of items, and `vector`, float32 of fixed length D (float16 is unknown to many readers; the split into bytes
    makes the zeros cost nothing).
    """
    details, vectors = with_vectors(lambda: catalog.details(encoder), folder)
    record = details.encoder
    said = {"version": VERSION, "fingerprint": encoder, "name": record.name, "dim": record.dim, "card": record.card}
    schema = pa.schema([*DETAILS, ("vector", pa.list_(pa.float32(), record.dim))], metadata={KEY: json.dumps(said)})
    listener.start("exporting", details.rows.rows)
    with (
        written_whole(out, "free some space or choose another place") as part,
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
    """What made the vectors of a file."""

    fingerprint: str
    name: str


def read_origin(path: Path) -> Origin:
    """Say which encoder made the vectors of a file of `export_vectors`. Raises SourceError when it is none."""
    try:
        schema = pq.read_schema(path)
        said = json.loads((schema.metadata or {})[KEY])
        version, fingerprint, name = int(said["version"]), str(said["fingerprint"]), printable(str(said["name"]))
    except KeyError:
        raise SourceError(
            f"{path}: expected a Parquet file of export-vectors, found one that does not say which encoder made its vectors"
        ) from None
    except (OSError, pa.ArrowException, ValueError, TypeError, RecursionError) as error:
        raise SourceError(f"{path}: expected a Parquet file of export-vectors; found: {error}") from error
    if version > VERSION:
        raise SourceError(f"{path}: written by a newer featurestore (version {version}); upgrade featurestore")
    return Origin(fingerprint, name)


def import_vectors(
    catalog: Catalog, folder: Path, record: EncoderRecord, path: Path, listener: Listener
) -> ImportReport:
    """Add the vectors of a file, where the store has none of that path; what it has stays. Its caller is the only writer.

    folder: of the vector files. Raises SourceError on a file that holds anything but unit-length vectors of D numbers.
    """
    file = VectorFile(folder / record.file, record.dim)
    rows = record.rows
    counts = dict.fromkeys(("added", "unchanged", "conflicting"), 0)
    for said, vectors in _batches(path, record, listener):
        known, next_item = catalog.known(record.fingerprint, [item["path"] for item in said])
        changes: list[ItemChange] = []
        kept: list[NDArray[np.float32]] = []
        for item, vector in zip(said, vectors, strict=True):
            old = known.get(item["path"])
            if old is not None and old.encoded:
                counts["unchanged"] += 1
                continue
            if old is not None and old.sha256 != item["sha256"]:
                counts["conflicting"] += 1  # another content lies under that path here
                continue
            counts["added"] += 1
            number = old.id if old is not None else next_item
            next_item += old is None
            if old is not None:
                item |= {"label": old.label, "split": old.split}
            changes.append(ItemChange(number, old is None, **item, row=rows + len(kept)))
            kept.append(vector)
        if changes:
            block = file.append(np.stack(kept), rows)
            rows += len(kept)
            catalog.commit(record.fingerprint, Batch(changes, [], [block], next_item, rows))
    return ImportReport(**counts)


def _batches(
    path: Path, record: EncoderRecord, listener: Listener
) -> Iterator[tuple[list[dict[str, Any]], NDArray[np.float32]]]:
    seen: set[str] = set()
    names = [field.name for field in DETAILS if field.name != "id"]
    try:
        source = pq.ParquetFile(path)
        _check_columns(path, source.schema_arrow, names)
        listener.start("importing", source.metadata.num_rows)
        for batch in source.iter_batches(4096, columns=[*names, "vector"]):
            table = pa.Table.from_batches([batch])
            items = table.select(names).cast(pa.schema([DETAILS.field(n) for n in names])).to_pylist()
            vectors = _unit(path, table["vector"], record.dim)
            for item in items:
                text = item["path"]
                if not text or not item["sha256"] or UNFIT.search(text) or text in seen:
                    raise SourceError(
                        f"{path}: an item has no path or sha256, a path with control characters, or that of another item: {text!r}; nothing of its batch was taken"
                    )
                seen.add(text)
            yield items, vectors
            listener.advance(len(items))
    except (OSError, pa.ArrowException) as error:
        raise SourceError(f"{path}: cannot be read: {error}; export it again") from error


def _check_columns(path: Path, schema: pa.Schema, names: list[str]) -> None:
    missing = {*names, "vector"} - set(schema.names)
    if missing:
        raise SourceError(f"{path}: expected the columns of export-vectors; missing: {', '.join(sorted(missing))}")
    kind = schema.field("vector").type
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if not lists or not pa.types.is_floating(kind.value_type):
        raise SourceError(f"{path}: expected vectors as lists of floats, found {kind}; export it again")


def _unit(path: Path, column: pa.ChunkedArray, dim: int) -> NDArray[np.float32]:
    """The vectors (N, D), once they are such as an encoder of a store makes."""
    flat = column.combine_chunks().flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    if column.null_count or flat.size != len(column) * dim:
        raise SourceError(f"{path}: expected vectors of {dim} numbers, found others; nothing of their batch was taken")
    vectors: NDArray[np.float32] = flat.reshape(-1, dim)
    if not np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=LENGTH_TOLERANCE):  # also when one is NaN
        raise SourceError(f"{path}: expected vectors of length 1, found others; nothing of their batch was taken")
    return vectors

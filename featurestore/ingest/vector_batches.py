"""A table of vectors in batches: items as the catalog has them, vectors of unit length, and the user's columns."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurestore.ann.normalize import unit_rows
from featurestore.catalog import EncoderRecord, repeated_path
from featurestore.catalog.labels import COLUMNS, SOURCES
from featurestore.catalog.records import DETAILS
from featurestore.errors import ImageError, SourceError
from featurestore.imaging import Preprocess
from featurestore.imaging.quality import SIDE, measure
from featurestore.imaging.single import load_one
from featurestore.ingest.vector_table import VectorTable
from featurestore.metadata.columns import check_names, settle_types
from featurestore.progress import Listener
from featurestore.sources import Failure
from featurestore.sources.base import as_labels
from featurestore.sources.column_types import as_type
from featurestore.sources.filesystem import file_state
from featurestore.sources.user_table import ParquetRows
from featurestore.system.spool import Spool
from featurestore.system.text import CONTROL, first_line

NEWER = ("labels", "label_source", "split_source")  # about labels, which older files do not have
LENGTH_TOLERANCE = 2e-3  # of rows that were rounded to float16


@dataclass(frozen=True, slots=True)
class Arrivals:
    """A batch of rows of a table."""

    items: list[dict[str, Any]]  # DETAILS without the id; without sha256 when the file has to be read
    vectors: NDArray[np.float32]  # (N, D), of unit length
    values: pa.Table  # the user's columns
    normalized: int  # vectors that were scaled


def batches(
    table: VectorTable, record: EncoderRecord, held: dict[str, pa.DataType], listener: Listener
) -> Iterator[Arrivals]:
    """Read a table in batches. Raises SourceError for repeated paths, before anything is given, and for rows that cannot be used."""
    file, names = table.file, table.details
    empty = dict.fromkeys(("label", "split", "width", "height"))
    try:
        types = _types_of_values(table, held)
        _check_paths(table)
        listener.start("importing", table.rows)
        for batch in table.read([table.path, *names, *types, table.vector], 4096):
            paths = table.item_paths(batch[table.path])
            schema = pa.schema([DETAILS.field(name) for name in names])
            details = batch.select(names).cast(schema).to_pylist() if names else [{}] * len(paths)
            items = [empty | item | {"path": path} for item, path in zip(details, paths, strict=True)]
            for item in items:
                if not item["path"] or not item.get("sha256", "read") or CONTROL.search(item["path"]):
                    raise SourceError(
                        f"{file}: an item has no path or sha256, or a path with control characters: {item['path']!r}; nothing of its batch was imported"
                    )
                if item.get("labels"):
                    item["label"], item["labels"] = as_labels(item["labels"])
                item |= _sources(item)
            values = pa.table({name: as_type(batch[name], kind) for name, kind in types.items()})
            vectors, normalized = _unit(table, batch[table.vector], record)
            yield Arrivals(items, vectors, values, normalized)
            listener.advance(len(items))
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        raise SourceError(f"{file}: cannot be read: {first_line(error)}; export it again") from error


def _sources(item: dict[str, Any]) -> dict[str, str | None]:
    """Say where the labels and the split of an item come from: as its file says it, or else that file."""
    found = {}
    for column, values in COLUMNS.items():
        said = item.get(f"{column}_source")
        found[f"{column}_source"] = said if said in SOURCES else "file" if any(map(item.get, values)) else None
    return found


def _types_of_values(table: VectorTable, held: dict[str, pa.DataType]) -> dict[str, pa.DataType]:
    columns = table.origin.columns if table.origin is not None else ()
    names = [name for name in columns if name in table.schema.names]
    if not names:
        return {}
    check_names(table.file, names)
    return settle_types(ParquetRows(table.file), pa.schema([table.schema.field(name) for name in names]), held)


def _check_paths(table: VectorTable) -> None:
    """Read all paths first, so that a file with a repeated path is refused before anything is imported."""
    paths = Spool(pa.schema([DETAILS.field("path")]))
    for batch in table.read([table.path], 65_536):
        paths.add_batch(pa.record_batch([pa.array(table.item_paths(batch[0]), pa.string())], schema=paths.schema))
    found = repeated_path(paths)
    if found is not None:
        raise SourceError(f"{table.file}: the path of an item occurs twice: {found!r}; nothing was imported")


def _unit(table: VectorTable, column: pa.Array, record: EncoderRecord) -> tuple[NDArray[np.float32], int]:
    """Convert the vectors to (N, D) of length 1; gives how many had another length. Raises SourceError unless they are finite and not zero."""
    with np.errstate(over="ignore"):  # what is too large becomes infinite
        flat = column.flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    fixed = pa.types.is_fixed_size_list(column.type)
    lengths = np.full(len(column), column.type.list_size) if fixed else np.diff(column.offsets.to_numpy())
    if column.null_count or (lengths != record.dim).any():
        import pyarrow.compute as pc  # slow to import, and only an error needs it

        sizes = sorted(set(pc.list_value_length(column).to_pylist()) - {record.dim}, key=str)
        raise SourceError(
            f"{table.file}: expected vectors of {record.dim} numbers, as the encoder {record.name} makes; found {', '.join(map(str, sizes[:3]))} "
            f"in column {table.vector}; nothing of their batch was imported"
        )
    vectors = flat.reshape(-1, record.dim)
    unit = unit_rows(vectors)
    bad = np.flatnonzero(np.isnan(unit).any(axis=1))
    if len(bad):
        raise SourceError(
            f"{table.file}: expected vectors of finite numbers that are not all zero; {len(bad)} of {len(unit)} in column {table.vector} "
            "are others; nothing of the batch was imported"
        )
    with np.errstate(over="ignore"):
        exact = np.abs(np.linalg.norm(vectors, axis=1) - 1) <= LENGTH_TOLERANCE
    return np.where(exact[:, None], vectors, unit), int((~exact).sum())


def read_content(path: str) -> dict[str, Any]:
    """Read what we keep of a file: hash, size, time, width, height and what its pixels say. Raises ImageError."""
    state = file_state(path)
    image = load_one(path, Preprocess(SIDE, SIDE), with_small=True)
    if isinstance(image, Failure):
        raise ImageError(image.reason)
    measures = {} if image.small is None else measure([image.small])[0]._asdict()
    return {
        "sha256": image.sha256,
        "bytes": state.size,
        "mtime_ns": state.mtime_ns,
        "width": image.width,
        "height": image.height,
        **measures,
    }

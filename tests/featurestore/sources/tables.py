"""Tables of images for the tests, in each of the forms they come in."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from featurestore.sources import ImageFile, find

Write = Callable[[Path, pa.Table], Path]
GROUP = 30  # rows of a row group or a record batch


def write_parquet(folder: Path, table: pa.Table) -> Path:
    pq.write_table(table, folder / "part.parquet", row_group_size=GROUP)
    return folder / "part.parquet"


def write_arrow(folder: Path, table: pa.Table, new: Callable[..., Any] = pa.ipc.new_stream) -> Path:
    """Write the stream format, as Hugging Face does, or another."""
    with pa.OSFile(str(folder / "part.arrow"), "wb") as file, new(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=GROUP)
    return folder / "part.arrow"


FORMS: dict[str, Write] = {
    "parquet": write_parquet,
    "arrow stream": write_arrow,
    "arrow file": partial(write_arrow, new=pa.ipc.new_file),
}


def hugging_face(values: Sequence[bytes | None], **columns: Any) -> pa.Table:
    """A table with the struct column that Hugging Face has for images."""
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    image = pa.array([{"bytes": value, "path": "a.jpg"} for value in values], kind)
    return pa.table({"image": image, **columns})


def with_features(table: pa.Table, **features: Any) -> pa.Table:
    """The same with features in the schema, where Hugging Face keeps them."""
    return table.replace_schema_metadata({b"huggingface": json.dumps({"info": {"features": features}})})


def images(source: Path | str) -> list[ImageFile]:
    return [entry for entry in find(source) if isinstance(entry, ImageFile)]


NAMES = {"names": ["rose", "tulip"], "_type": "ClassLabel"}


def save_dataset(folder: Path, *tables: pa.Table) -> Path:
    """Write what `save_to_disk` of Hugging Face datasets writes."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [f"data-{n:05d}-of-{len(tables):05d}.arrow" for n in range(len(tables))]
    for name, table in zip(files, tables, strict=True):
        write_arrow(folder, table).rename(folder / name)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in files]}))
    (folder / "dataset_info.json").write_text(json.dumps({"features": {"image": {"_type": "Image"}, "label": NAMES}}))
    return folder

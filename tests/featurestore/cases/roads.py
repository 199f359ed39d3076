"""The roads that a collection can take into the program: packed as a folder, a list, a tar, tables, a saved dataset or behind a URL."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa

from tests.featurestore.cases.collections import Entry
from tests.featurestore.sources.tables import hugging_face, save_dataset, write_parquet
from tests.featurestore.sources.tars import write_tar

Collection = Sequence[Entry]


def as_folder(place: Path, collection: Collection) -> str:
    for one in collection:
        path = place / "set" / one.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(one.data)
    return str(place / "set")


def as_list(place: Path, collection: Collection) -> str:
    as_folder(place, collection)
    (place / "set.txt").write_text("\n".join(f"set/{one.name}" for one in collection if one.is_image))
    return str(place / "set.txt")


def as_tar(place: Path, collection: Collection) -> str:
    """As webdataset would: labels that no folder tells stand in a .json beside the image."""
    members = []
    for one in collection:
        members.append((one.name, one.data))
        if one.labels is not None and "/" not in one.name:
            described = {"labels": one.labels} if isinstance(one.labels, list) else {"label": one.labels}
            members.append((one.name.rpartition(".")[0] + ".json", json.dumps(described).encode()))
    return str(write_tar(place / "set.tar", members))


def as_parquet(place: Path, collection: Collection) -> str:
    return str(write_parquet(place, _table(collection)))


def as_dataset(place: Path, collection: Collection) -> str:
    return str(save_dataset(place / "saved", _table(collection)))


def as_table_of_paths(place: Path, collection: Collection) -> str:
    as_folder(place, collection)
    images = [one for one in collection if one.is_image]
    columns = _columns(images)
    return str(write_parquet(place, pa.table({"file_name": [f"set/{one.name}" for one in images], **columns})))


def as_url(place: Path, collection: Collection) -> str:
    files, root = fsspec.filesystem("memory"), f"/cases/{place.name}/set"
    for one in collection:
        files.pipe_file(f"{root}/{one.name}", one.data)
    return f"memory:/{root}"


def _table(collection: Collection) -> pa.Table:
    images = [one for one in collection if one.is_image]
    return hugging_face([one.data for one in images], **_columns(images))


def _columns(images: Collection) -> dict[str, Any]:
    """The columns of labels and splits that the author of a table would have written, without those that say nothing."""
    several = any(isinstance(one.labels, list) for one in images)
    columns: dict[str, list[Any]] = {
        "labels" if several else "label": [one.labels for one in images],
        "split": [one.split for one in images],
    }
    return {name: pa.array(values) for name, values in columns.items() if any(values)}


@dataclass(frozen=True)
class Road:
    """A way to pack a collection, and how the program names its images and the origin of its labels."""

    make: Callable[[Path, Collection], str]
    path: str  # of an image: of the source, the place, the name and the row
    labelled_by: str = ""  # what gives labels; nothing for folders


PARQUET, SAVED = "column {column} of part.parquet", "column {column} of saved"
ROADS = {
    "folder": Road(as_folder, "{source}/{name}"),
    "list": Road(as_list, "{place}/set/{name}"),
    "tar": Road(as_tar, "{source}::{name}", ".json files of set.tar"),
    "parquet": Road(as_parquet, "{source}::{row}", PARQUET),
    "dataset": Road(as_dataset, "{source}/data-00000-of-00001.arrow::{row}", SAVED),
    "paths": Road(as_table_of_paths, "{place}/set/{name}", PARQUET),
    "url": Road(as_url, "{source}/{name}"),
}
TABLES = ("parquet", "dataset", "paths")

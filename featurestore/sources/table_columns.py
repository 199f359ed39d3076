"""Choose the columns of a table that hold images or their paths, labels and splits."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from featurestore.errors import SourceError
from featurestore.sources.column_names import LABEL, PATH, SPLIT, ColumnNames, candidates, choose

BYTES = ("image", "img", "bytes", "jpg", "png", "webp", "content")


@dataclass(frozen=True, slots=True)
class TableColumns:
    """The columns of a table that are read."""

    image: str | None  # binary, or a struct with a binary field "bytes"
    path: str | None  # of image files, when no column holds images
    label: str | None  # of one label a row, or of lists
    split: str | None
    label_names: tuple[str, ...] = ()  # names of integer labels; empty when they have none
    possible_labels: tuple[str, ...] = ()  # several columns that could be labels; then `label` is None

    def used(self) -> list[str]:
        """Return the names of those that the table has."""
        return [name for name in (self.image, self.path, self.label, self.split) if name is not None]


def image_column(schema: pa.Schema) -> str | None:
    """Return the column that holds images: one of a usual name, or the only one with bytes."""
    holding = [field.name for field in schema if _holds_bytes(field.type)]
    usual = next((name for name in BYTES if name in holding), None)
    return usual or (holding[0] if len(holding) == 1 else None)


def choose_columns(path: str, schema: pa.Schema, features: Mapping[str, Any], named: ColumnNames) -> TableColumns:
    """Choose columns by type and name; `features` are those of Hugging Face, `named` those that the user chose.

    Raises SourceError when no column holds images or paths, when several could be the paths, or when a named one is not there.
    """
    image = None if named.path else image_column(schema)
    texts = [field.name for field in schema if _is_text(field.type)]
    path_column = None if image else choose(path, texts, PATH, named.path)
    if image is None and path_column is None:
        raise SourceError(
            f"{path!r}: expected a binary column of images named {', '.join(BYTES[:-1])} or {BYTES[-1]}, or a text column of paths named "
            f"{PATH.own}, {', '.join(PATH.others[:-1])} or {PATH.others[-1]}; found the columns {describe(schema)}; choose one with --path-column"
        )
    usable = [
        f.name
        for f in schema
        if f.name not in (image, path_column)
        and (_is_label(f.type) or _is_list_of_labels(f.type, _label_names(features, f.name)))
    ]
    labels = candidates(path, usable, LABEL, named.label)
    label = labels[0] if len(labels) == 1 else None
    split = choose(path, texts, SPLIT, named.split)
    return TableColumns(
        image, path_column, label, split, _label_names(features, label), tuple(labels) if label is None else ()
    )


def describe(schema: pa.Schema) -> str:
    """List the columns of a table with their types."""
    return ", ".join(f"{field.name} ({field.type})" for field in schema) or "none"


def features_of(metadata: Mapping[bytes, bytes] | None) -> Mapping[str, Any]:
    """Read the features of Hugging Face from the metadata of a schema; empty when there are none."""
    return parse_features((metadata or {}).get(b"huggingface", b""), lambda record: record["info"]["features"])


def parse_features(text: bytes, where: Callable[[Any], Any]) -> Mapping[str, Any]:
    """Read features from a JSON text; `where` finds them in its record. Empty when there are none."""
    try:
        features = where(json.loads(text))
    except (ValueError, KeyError, TypeError, RecursionError):
        return {}
    return features if isinstance(features, dict) else {}


def _label_names(features: Mapping[str, Any], label: str | None) -> tuple[str, ...]:
    feature = features.get(label) if label else None
    if isinstance(feature, dict):
        feature = feature.get("feature", feature)  # of the values of a list
    if isinstance(feature, list) and feature:
        feature = feature[0]  # the same, as earlier versions wrote it
    names = feature.get("names") if isinstance(feature, dict) else None
    return tuple(map(str, names)) if isinstance(names, list) else ()


def _holds_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        at = kind.get_field_index("bytes")
        return at >= 0 and _is_binary(kind.field(at).type)
    return _is_binary(kind)


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_list_of_labels(kind: pa.DataType, names: Sequence[str]) -> bool:
    """Return whether a column holds lists of texts, or of numbers that have names: a list of numbers alone may be anything, such as one-hot."""
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return bool(is_list and (_is_text(kind.value_type) or (names and pa.types.is_integer(kind.value_type))))


def _is_label(kind: pa.DataType) -> bool:
    return _is_text(kind) or bool(
        pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_float32(kind) or pa.types.is_float64(kind)
    )

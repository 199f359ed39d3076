"""Rows of the catalog as plain values."""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any

import pyarrow as pa

from featurestore.catalog.schema import QUALITY
from featurestore.errors import EncoderNotInStore, StoreCorrupt, StoreUntrusted
from featurestore.system.checksums import BlockChecksum
from featurestore.system.spool import BATCH_ROWS, Spool

Parts = dict[str, Any]  # of a JSON object: the type of each, or its parts
ENCODER_CARD: Parts = {
    "method": str, "backbone": str, "branch": str, "trained_on": {"count": int}, "preprocess": {"bands": (list, type(None))},
    "whitening": {"images": int},
}  # fmt: skip
CLASSIFIER_CARD: Parts = {"classes": list, "figures": dict}


@dataclass(frozen=True, slots=True)
class EncoderRecord:
    """An encoder the store holds vectors of."""

    fingerprint: str
    name: str
    dim: int
    rows: int  # of its vector file, committed
    file: str  # name of the vector file
    card: dict[str, Any]

    @property
    def bands(self) -> tuple[int, ...] | None:
        """The bands of an image that it reads, from 1; None: its colours."""
        bands = self.card["preprocess"].get("bands")
        return None if bands is None else tuple(bands)

    @classmethod
    def read(cls, fingerprint: str, name: str, dim: int, rows: int, file: str, card: str) -> "EncoderRecord":
        """Read a row of the table. Raises StoreCorrupt when a file name could lead out of the store's folder."""
        if not _belong_together(fingerprint, file):
            raise StoreCorrupt(
                f"the catalog names an encoder {fingerprint[:80]!r} with the vector file {file[:80]!r}; expected a SHA-256 and a file named "
                "after it: the catalog was changed by hand; restore it from a backup"
            )
        return cls(fingerprint, name, dim, rows, file, _card(card, ENCODER_CARD))


def _belong_together(fingerprint: str, vectors: str) -> bool:
    """Whether this is a fingerprint, and the vector file is named after it."""
    return bool(
        re.fullmatch(r"[0-9a-f]{64}", fingerprint) and re.fullmatch(rf"{fingerprint[:16]}(-[0-9]+)?\.f16", vectors)
    )


def _card(text: str, parts: Parts) -> dict[str, Any]:
    """Read a card. Raises StoreUntrusted when it is no JSON object, or a part that is there has another type."""
    try:
        card = json.loads(text)
    except (ValueError, RecursionError):  # ValueError: also a number of thousands of digits
        card = None
    if not _has_types(card, parts):
        raise StoreUntrusted(
            f"the catalog has the card {text[:80]!r}; expected one that featurestore writes: the catalog was changed by hand; restore it from "
            "a backup, and do not use it if it is not your own"
        )
    return dict(card)


def _has_types(record: Any, parts: Parts) -> bool:
    return isinstance(record, dict) and all(
        _has_types(record[name], kind) if isinstance(kind, dict) else isinstance(record[name], kind)
        for name, kind in parts.items()
        if name in record
    )


@dataclass(frozen=True, slots=True)
class IndexRecord:
    """A search index over the first rows of an encoder's vector file."""

    encoder: str  # fingerprint
    generation: int  # goes up with each index of the encoder
    file: str  # its name in the folder indexes
    vectors: str  # name of the vector file that it covers
    rows: int  # how many of its first rows
    bytes: int
    sha256: str
    card: dict[str, Any]  # kind, settings, measured recall

    @classmethod
    def read(
        cls, encoder: str, generation: int, file: str, vectors: str, rows: int, bytes: int, sha256: str, card: str
    ) -> "IndexRecord":
        """Read a row of the table. Raises StoreCorrupt when a file name could lead out of the store's folder."""
        if not _belong_together(encoder, vectors) or not re.fullmatch(rf"{encoder[:16]}-[0-9]+\.faiss", file):
            raise StoreCorrupt(
                f"the catalog names an index {file[:80]!r} of {vectors[:80]!r} for the encoder {encoder[:80]!r}; expected a SHA-256 and files "
                "named after it: the catalog was changed by hand; drop the index by featurestore verify STORE --repair"
            )
        return cls(encoder, generation, file, vectors, rows, bytes, sha256, _card(card, {}))


@dataclass(frozen=True, slots=True)
class ClassifierRecord:
    """A linear classifier of the vectors of one encoder."""

    name: str
    encoder: str  # fingerprint
    method: str
    card: dict[str, Any]  # classes, temperature, measured figures
    weights: bytes  # little-endian float32, C order, (D + 1, C)
    intact: bool = True  # card and weights match their checksum; otherwise the card is empty
    trained_at: datetime | None = None
    applied_at: datetime | None = None  # when its columns were last filled

    @classmethod
    def read(
        cls, name: str, encoder: str, method: str, card: str, weights: bytes, sha256: str,
        trained_at: datetime | None, applied_at: datetime | None,
    ) -> "ClassifierRecord":  # fmt: skip
        """Read a row of the table."""
        intact = hashlib.sha256(card.encode() + weights).hexdigest() == sha256
        return cls(
            name,
            encoder,
            method,
            _card(card, CLASSIFIER_CARD) if intact else {},
            weights,
            intact,
            trained_at,
            applied_at,
        )

    @property
    def columns(self) -> tuple[str, str]:
        """The columns of items that it fills."""
        return self.columns_of(self.name)

    @staticmethod
    def columns_of(name: str) -> tuple[str, str]:
        """Give the columns of items that a classifier of that name fills: the class, and the confidence."""
        return name, f"{name}_confidence"


@dataclass(frozen=True, slots=True)
class ItemChange:
    """A new, changed or moved item; `row` is None when it keeps its vector."""

    id: int
    new: bool
    path: str
    label: str | None  # None leaves the label as it is
    split: str | None
    width: int | None
    height: int | None
    bytes: int
    mtime_ns: int
    sha256: str | None
    row: int | None
    label_source: str | None = None  # see `labels.SOURCES`
    split_source: str | None = None
    labels: Sequence[str] | None = None  # of an item with several, sorted and distinct; then `label` is None
    brightness: float | None = None  # of the content, with the three that follow; see `schema.QUALITY`
    contrast: float | None = None
    sharpness: float | None = None
    colourfulness: float | None = None


@dataclass(frozen=True, slots=True)
class FailedFile:
    """A file that could not be used."""

    path: str
    reason: str
    removes: bool  # its item; otherwise the disk failed, or only this encoder cannot use it


@dataclass(frozen=True, slots=True)
class KnownItem:
    """What the catalog knows of a path, for one encoder."""

    id: int
    sha256: str | None
    encoded: bool  # the encoder has a vector of its content, and the item is not removed


CHANGES: dict[str, pa.DataType] = {
    "id": pa.int64(), "new": pa.bool_(), "path": pa.string(), "label": pa.string(), "split": pa.string(), "width": pa.int32(),
    "height": pa.int32(), "bytes": pa.int64(), "mtime_ns": pa.int64(), "sha256": pa.string(), "row": pa.int64(),
    "label_source": pa.string(), "split_source": pa.string(), "labels": pa.list_(pa.string()), **dict.fromkeys(QUALITY, pa.float64()),
}  # fmt: skip
DETAILS = pa.schema([
    ("id", pa.int64()), ("path", pa.string()), ("label", pa.string()), ("labels", pa.list_(pa.string())), ("split", pa.string()),
    ("width", pa.int32()), ("height", pa.int32()), ("bytes", pa.int64()), ("mtime_ns", pa.int64()), ("sha256", pa.string()),
    ("label_source", pa.string()), ("split_source", pa.string()), *((name, pa.float64()) for name in QUALITY),
])  # fmt: skip
FAILURES: dict[str, pa.DataType] = {"path": pa.string(), "reason": pa.string(), "removes": pa.bool_()}
BLOCKS: dict[str, pa.DataType] = {"first": pa.int64(), "rows": pa.int64(), "sha256": pa.string()}


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction of ingest records."""

    changes: Sequence[ItemChange]
    failures: Sequence[FailedFile]
    blocks: Sequence[BlockChecksum]  # of the rows that were appended
    next_item: int
    rows: int  # of the vector file, committed after this batch
    values: pa.Table | None = None  # columns of the user for some of the items: the id, then the values
    change: int = 0  # number under which the history keeps labels that are replaced


def table(rows: Iterable[Any], types: dict[str, pa.DataType]) -> pa.Table:
    """Turn records into columns, by the names of their fields."""
    columns = list(zip(*map(attrgetter(*types), rows), strict=True)) or [()] * len(types)
    return pa.table({name: pa.array(column, types[name]) for name, column in zip(types, columns, strict=True)})


def spooled(relation: Any, schema: pa.Schema) -> Spool:
    """Copy the result of a query to a spool, so that the connection can be closed."""
    spool = Spool(schema)
    for batch in relation.to_arrow_reader(BATCH_ROWS):
        columns = [  # a cast loads pyarrow.compute, which takes long
            column if column.type == field.type else column.cast(field.type)
            for column, field in zip(batch.columns, schema, strict=True)
        ]
        spool.add_batch(pa.record_batch(columns, schema=schema))
    return spool


def _full_name(record: EncoderRecord) -> str:
    """Give the name of an encoder and, if it does not hold it, the start of its fingerprint."""
    start = record.fingerprint[:8]
    return record.name if start in record.name else f"{record.name}, fingerprint {start}"


def no_such_encoder(wanted: str | None, records: Sequence[EncoderRecord]) -> EncoderNotInStore:
    """Make the error that lists the encoders of a store, when it has none, or not exactly one is meant."""
    names = ", ".join(f"{_full_name(record)} ({record.rows} vectors)" for record in records)
    if not records:
        return EncoderNotInStore(
            "the store holds no vectors yet; index some images first: featurestore index STORE SOURCE --encoder encoder.onnx"
        )
    return EncoderNotInStore(
        f"encoder {wanted!r} does not name one encoder of this store, which has: {names}; choose one of these, or index with that encoder first"
    )

"""What the catalog says and is told: plain rows."""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any

import pyarrow as pa

from featurestore.errors import EncoderNotInStore, StoreCorrupt
from featurestore.system.checksums import Block


@dataclass(frozen=True, slots=True)
class EncoderRecord:
    """An encoder the store holds vectors of."""

    fingerprint: str
    name: str
    dim: int
    rows: int  # of its vector file that count
    file: str  # name of that file
    card: dict[str, Any]

    @classmethod
    def read(cls, fingerprint: str, name: str, dim: int, rows: int, file: str, card: str) -> "EncoderRecord":
        """Take a row of the table; raises StoreCorrupt when it could lead out of the store's folder."""
        if not _are_of(fingerprint, file):
            raise StoreCorrupt(
                f"the catalog names an encoder {fingerprint[:80]!r} with the vector file {file[:80]!r}; expected a SHA-256 and a file called "
                "after it: the catalog was changed by hand; restore it from a backup"
            )
        return cls(fingerprint, name, dim, rows, file, json.loads(card))


def _are_of(fingerprint: str, vectors: str) -> bool:
    """Whether this is a fingerprint, and that a vector file called after it."""
    return bool(
        re.fullmatch(r"[0-9a-f]{64}", fingerprint) and re.fullmatch(rf"{fingerprint[:16]}(-\d+)?\.f16", vectors)
    )


@dataclass(frozen=True, slots=True)
class IndexRecord:
    """An index that was built of the first rows of an encoder's vector file."""

    encoder: str  # fingerprint
    generation: int  # counts up while the vector file is the same
    file: str  # its name in the folder indexes
    vectors: str  # name of the vector file that it covers
    rows: int  # the first so many of that
    bytes: int
    sha256: str
    card: dict[str, Any]  # kind, settings, measured recall

    @classmethod
    def read(
        cls, encoder: str, generation: int, file: str, vectors: str, rows: int, bytes: int, sha256: str, card: str
    ) -> "IndexRecord":
        """Take a row of the table; raises StoreCorrupt when it could lead out of the store's folder."""
        if not _are_of(encoder, vectors) or not re.fullmatch(rf"{encoder[:16]}-\d+\.faiss", file):
            raise StoreCorrupt(
                f"the catalog names an index {file[:80]!r} of {vectors[:80]!r} for the encoder {encoder[:80]!r}; expected a SHA-256 and files "
                "called after it: the catalog was changed by hand; drop the index by featurestore verify STORE --repair"
            )
        return cls(encoder, generation, file, vectors, rows, bytes, sha256, json.loads(card))


@dataclass(frozen=True, slots=True)
class ClassifierRecord:
    """A linear classifier of the vectors of one encoder."""

    name: str
    encoder: str  # fingerprint
    method: str
    card: dict[str, Any]  # classes, temperature, measured figures
    weights: bytes  # little-endian float32, C order, (D + 1, C)
    whole: bool = True  # they are what their checksum says; else the card is empty
    trained_at: datetime | None = None
    applied_at: datetime | None = None  # when its columns were last filled

    @classmethod
    def read(
        cls, name: str, encoder: str, method: str, card: str, weights: bytes, sha256: str,
        trained_at: datetime | None, applied_at: datetime | None,
    ) -> "ClassifierRecord":  # fmt: skip
        """Take a row of the table."""
        whole = hashlib.sha256(card.encode() + weights).hexdigest() == sha256
        return cls(name, encoder, method, json.loads(card) if whole else {}, weights, whole, trained_at, applied_at)

    @property
    def columns(self) -> tuple[str, str]:
        """The columns of items that it fills."""
        return self.columns_of(self.name)

    @staticmethod
    def columns_of(name: str) -> tuple[str, str]:
        """The columns of items that a classifier of that name fills: with the class, and with how sure it is."""
        return name, f"{name}_confidence"


@dataclass(frozen=True, slots=True)
class ItemChange:
    """An item as a batch of indexing found it; `row` is None when the vector it has stays right."""

    id: int
    new: bool
    path: str
    label: str | None
    split: str | None
    width: int | None
    height: int | None
    bytes: int
    mtime_ns: int
    sha256: str | None
    row: int | None


@dataclass(frozen=True, slots=True)
class FailedFile:
    """A file that could not be used."""

    path: str
    reason: str
    unreadable: bool  # so that its item is removed; else this encoder makes nothing of it, others may


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a path, seen by one encoder."""

    id: int
    sha256: str | None
    label: str | None
    split: str | None
    encoded: bool  # and there: not vanished


CHANGES: dict[str, pa.DataType] = {
    "id": pa.int64(), "new": pa.bool_(), "path": pa.string(), "label": pa.string(), "split": pa.string(), "width": pa.int32(),
    "height": pa.int32(), "bytes": pa.int64(), "mtime_ns": pa.int64(), "sha256": pa.string(), "row": pa.int64(),
}  # fmt: skip
DETAILS = pa.schema([
    ("id", pa.int64()), ("path", pa.string()), ("label", pa.string()), ("split", pa.string()), ("width", pa.int32()), ("height", pa.int32()),
    ("bytes", pa.int64()), ("mtime_ns", pa.int64()), ("sha256", pa.string()),
])  # fmt: skip
FAILURES: dict[str, pa.DataType] = {"path": pa.string(), "reason": pa.string(), "unreadable": pa.bool_()}
BLOCKS: dict[str, pa.DataType] = {"first": pa.int64(), "rows": pa.int64(), "sha256": pa.string()}


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction of indexing records."""

    changes: Sequence[ItemChange]
    failures: Sequence[FailedFile]
    blocks: Sequence[Block]  # behind those the vector file had
    next_item: int
    rows: int  # of the vector file that count from now on
    values: pa.Table | None = None  # of some of the items: the id, then columns of the user


def table(rows: Iterable[Any], types: dict[str, pa.DataType]) -> pa.Table:
    """Turn records into columns, by the names of their attributes."""
    columns = list(zip(*map(attrgetter(*types), rows), strict=True)) or [()] * len(types)
    return pa.table({name: pa.array(column, types[name]) for name, column in zip(types, columns, strict=True)})


def no_such_encoder(wanted: str | None, held: Sequence[EncoderRecord]) -> EncoderNotInStore:
    """Say which encoders a store holds vectors of, when the wanted one is missing or none was named."""
    names = ", ".join(f"{record.name} ({record.rows} vectors)" for record in held) or "none"
    if wanted is None and not held:
        return EncoderNotInStore(
            "the store holds no vectors yet; index some images first: featurestore index STORE SOURCE --encoder encoder.onnx"
        )
    if wanted is None:
        return EncoderNotInStore(
            f"the store holds vectors of {len(held)} encoders, which never mix: {names}; name one by --encoder"
        )
    return EncoderNotInStore(
        f"encoder {wanted!r} has made no vectors of this store, which holds: {names}; name one of these, or index with that encoder first"
    )

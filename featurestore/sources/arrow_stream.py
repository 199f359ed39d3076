"""Find where the record batches of an Arrow IPC stream begin and end, without reading them.

The framing is that of the Arrow columnar format 1.5, "IPC Streaming Format" and "Encapsulated message format". The
metadata is a flatbuffer `Message`, of which two fields are read: the type of the header and the length of the body.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from featurestore.sources.unpacking import too_large

CONTINUATION = b"\xff\xff\xff\xff"
RECORD_BATCH = 3  # of the union MessageHeader
HEADER_TYPE, HEADER, BODY_LENGTH = 1, 2, 3  # numbers of fields in table Message
ROWS, BUFFERS, COMPRESSION = 0, 2, 3  # numbers of fields in table RecordBatch
DICTIONARY_BATCH, DATA = 2, 1  # of the union MessageHeader; number of a field in table DictionaryBatch


class Message(NamedTuple):
    start: int  # first byte
    end: int  # first byte after it
    rows: int | None  # None: a schema or a dictionary


def messages(file: BinaryIO, start: int, size: int) -> Iterator[Message]:
    """Yield the messages of a stream that begins at byte `start` of a file of `size` bytes. Raises ValueError where it is damaged or cut off."""
    while start < size:
        file.seek(start)
        prefix = file.read(8)
        if len(prefix) < 8:
            raise ValueError("the stream ends within a message")
        (length,) = struct.unpack("<i", prefix[4:])
        if prefix[:4] != CONTINUATION or length < 0:
            raise ValueError(f"no message of an Arrow stream at byte {start}")
        if length == 0:
            return  # the end mark
        if start + 8 + length > size:
            raise ValueError("the stream ends within a message")
        metadata = file.read(length)
        try:
            kind, body, rows = _fields(metadata)
        except struct.error as error:
            raise ValueError(f"damaged message at byte {start}") from error
        end = start + 8 + length + body
        if body < 0 or rows < 0:
            raise ValueError(f"damaged message at byte {start}")
        if end > size:
            raise ValueError("the stream ends within a message")
        if found := too_large(body, _unpacked(file, metadata, kind, start + 8 + length)):
            raise ValueError(found)
        yield Message(start, end, rows if kind == RECORD_BATCH else None)
        start = end


def _fields(metadata: bytes) -> tuple[int, int, int]:
    """Read the type of the header, the length of the body, and the number of rows when it is a record batch."""
    (message,) = struct.unpack_from("<I", metadata)
    kind = _field(metadata, message, HEADER_TYPE, "<B")
    body = _field(metadata, message, BODY_LENGTH, "<q")
    if kind != RECORD_BATCH:
        return kind, body, 0
    return kind, body, _field(metadata, _table(metadata, message, HEADER), ROWS, "<q")


def _unpacked(file: BinaryIO, metadata: bytes, kind: int, body: int) -> int:
    """Sum up what the buffers of a batch, whose body begins at a byte of the file, say that they unpack to; 0 without compression."""
    if kind not in (RECORD_BATCH, DICTIONARY_BATCH):
        return 0
    try:
        (message,) = struct.unpack_from("<I", metadata)
        batch = _table(metadata, message, HEADER)
        batch = _table(metadata, batch, DATA) if kind == DICTIONARY_BATCH else batch
        if not _position(metadata, batch, COMPRESSION):
            return 0
        buffers, total = _table(metadata, batch, BUFFERS), 0
        (count,) = struct.unpack_from("<I", metadata, buffers)
        for number in range(count):
            start, length = struct.unpack_from("<qq", metadata, buffers + 4 + 16 * number)
            if length:
                file.seek(body + start)
                total += max(0, struct.unpack("<q", file.read(8))[0])  # -1: this one is not compressed
    except (struct.error, OSError) as error:
        raise ValueError("damaged metadata of a batch") from error
    return total


def _table(data: bytes, table: int, number: int) -> int:
    """Return where the table or vector begins to which a field refers."""
    position = _position(data, table, number)
    (offset,) = struct.unpack_from("<I", data, position)
    return position + int(offset)


def _field(data: bytes, table: int, number: int, form: str) -> int:
    position = _position(data, table, number)
    return int(struct.unpack_from(form, data, position)[0]) if position else 0  # a missing field has its default


def _position(data: bytes, table: int, number: int) -> int:
    (back,) = struct.unpack_from("<i", data, table)
    vtable = table - back
    (size,) = struct.unpack_from("<H", data, vtable)
    if 4 + 2 * number >= size:
        return 0
    (offset,) = struct.unpack_from("<H", data, vtable + 4 + 2 * number)
    return table + offset if offset else 0

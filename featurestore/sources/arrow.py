"""Arrow files of images, and the folders of them that Hugging Face datasets save."""

import threading
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Any

import pyarrow as pa

from featurestore.errors import ImageError
from featurestore.sources import filesystem as access
from featurestore.sources.arrow_stream import Message, messages
from featurestore.sources.filesystem import State
from featurestore.sources.lru_cache import Recent
from featurestore.sources.table_columns import features_of, parse_features
from featurestore.sources.tables import KEPT_BYTES, Table, image_bytes

MAGIC = b"ARROW1\0\0"  # an IPC file is this, a stream, and a footer that is not needed here

_batches: Recent[pa.RecordBatch] = Recent(KEPT_BYTES, least=2)  # by file, state and number


class ArrowTable(Table):
    """An Arrow IPC stream, as `save_to_disk` of Hugging Face datasets writes it, or an Arrow IPC file."""

    def __init__(self, path: str, state: State) -> None:
        with access.open_file(path) as file:
            start = len(MAGIC) if file.read(len(MAGIC)) == MAGIC else 0
            found = list(messages(file, start, state.size))
        if not found or found[0].rows is not None:
            raise ImageError("expected an Arrow stream, found none in the file")
        self._heads: list[Message] = []  # the schema, and dictionaries, which may change between record batches
        self._parts: list[tuple[int, Message]] = []  # record batches, each with the number of heads before it
        for message in found:
            if message.rows is None:
                self._heads.append(message)
            else:
                self._parts.append((len(self._heads), message))
        self._starts = list(accumulate((message.rows or 0 for _, message in self._parts), initial=0))
        schema = pa.ipc.read_schema(pa.BufferReader(_read(path, found[0])))
        features = features_of(schema.metadata) or _features_beside(path)
        super().__init__(path, state, schema, self._starts[-1], features)
        self._lock = threading.Lock()

    def batches(self) -> Iterator[pa.RecordBatch]:
        for number in range(len(self._parts)):
            yield self._batch(number)

    def image(self, row: int) -> bytes | None:
        number = bisect_right(self._starts, row) - 1
        key = self.path, self.state, number
        with self._lock:
            batch = _batches.get(key)
            if batch is None:
                batch = self._batch(number)
                _batches.put(key, batch, batch.nbytes)
        value = image_bytes(batch.column(self.columns.image).slice(row - self._starts[number], 1))[0].as_py()
        return None if value is None else bytes(value)

    def _batch(self, number: int) -> pa.RecordBatch:
        """Read one record batch: with the schema and the dictionaries before it, it is a stream by itself."""
        heads, part = self._parts[number]
        data = b"".join(_read(self.path, message) for message in (*self._heads[:heads], part))
        batch = pa.ipc.open_stream(pa.py_buffer(data)).read_next_batch()
        batch.validate(full=True)  # pyarrow would follow damaged offsets out of its memory
        return batch


def _read(path: str, message: Message) -> bytes:
    return access.read_span(path, message.start, message.end - message.start)


def _features_beside(path: str) -> Mapping[str, Any]:
    """Features from the dataset_info.json that `save_to_disk` puts beside its Arrow files."""
    try:
        text = access.read_whole(f"{path.rpartition('/')[0]}/dataset_info.json")
    except ImageError:
        return {}
    return parse_features(text, lambda said: said["features"])

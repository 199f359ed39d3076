"""Arrow files of images, as Hugging Face datasets save them."""

import threading
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any

import pyarrow as pa

from featurestore.errors import ImageError, ImageUnread
from featurestore.sources import filesystem
from featurestore.sources.arrow_stream import Message, messages
from featurestore.sources.local_files import FileState
from featurestore.sources.lru_cache import LruCache
from featurestore.sources.table_columns import features_of, parse_features
from featurestore.sources.tables import CACHED_BYTES, TableFile, image_bytes

MAGIC = b"ARROW1\0\0"  # an IPC file begins with this; a stream follows, and a footer that is not needed

_batches: LruCache[pa.RecordBatch] = LruCache(CACHED_BYTES, least=2)  # by file, state and number


class ArrowTable(TableFile):
    """An Arrow IPC stream, which `save_to_disk` of Hugging Face datasets writes, or an Arrow IPC file."""

    def __init__(self, path: str, state: FileState) -> None:
        with filesystem.open_file(path) as file:
            start = len(MAGIC) if file.read(len(MAGIC)) == MAGIC else 0
            found = list(messages(file, start, state.size))
        if not found or found[0].rows is not None:
            raise ImageError("expected an Arrow stream, found none in the file")
        self._heads: list[Message] = []  # the schema and dictionaries; these may change between record batches
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

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
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
        value = image_bytes(batch.column(self.image_column).slice(row - self._starts[number], 1))[0].as_py()
        return None if value is None else bytes(value)

    def _batch(self, number: int) -> pa.RecordBatch:
        """Read one record batch; the schema and the dictionaries before it make it a stream."""
        heads, part = self._parts[number]
        data = b"".join(_read(self.path, message) for message in (*self._heads[:heads], part))
        batch = pa.ipc.open_stream(pa.py_buffer(data)).read_next_batch()
        batch.validate(full=True)  # pyarrow would follow damaged offsets beyond its memory
        return batch


def _read(path: str, message: Message) -> bytes:
    return filesystem.read_span(path, message.start, message.end - message.start)


def _features_beside(path: str) -> Mapping[str, Any]:
    """Read the features from the dataset_info.json that `save_to_disk` writes beside its Arrow files."""
    try:
        text = filesystem.read_whole(f"{path.rpartition('/')[0]}/dataset_info.json")
    except ImageUnread:
        raise
    except ImageError:
        return {}
    return parse_features(text, lambda record: record["features"])

"""JSON Lines: one object a line, as in the metadata.jsonl of image folders."""

import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from featurestore.sources.text_file import BLOCK_BYTES, detect_encoding, open_text

MOST_BRACKETS = 500  # in a line that is not looked into: pyarrow crashes on values within values without end
MOST_KEYS = 10_000  # in a line


class JsonlTable:
    """A file of JSON objects; their keys are the columns, text stays text, and what an object lacks is null."""

    kind = "JSONL"
    is_typed = True
    has_heading = True

    def __init__(self, path: Path) -> None:
        self.path = path
        self._encoding, self.notes = detect_encoding(path)
        with open_text(path, self._encoding) as file:
            first = file.read(1)
        if first == b"[":
            raise ValueError("found one JSON array; write one object a line, in pandas: to_json(lines=True)")
        self._check_lines()
        found = self._read(None).schema if first else pa.schema([])
        self.schema = pa.schema([pa.field(field.name.strip(), _as_written(field.type)) for field in found])
        self._keys = dict(zip(self.schema.names, found.names, strict=True))

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield all rows of some columns, in order."""
        if len(self.schema):
            chosen = pa.schema([(self._keys[name], self.schema.field(name).type) for name in names])
            yield from self._read(chosen).select(chosen.names).to_batches()

    def _check_lines(self) -> None:
        """Raise ValueError for a line that pyarrow cannot read without harm."""
        with open_text(self.path, self._encoding) as file:
            lines = io.BufferedReader(file)
            for number, line in enumerate(iter(lambda: lines.readline(BLOCK_BYTES), b""), start=1):
                if line.count(b'":') > MOST_KEYS:
                    raise ValueError(f"line {number} has more than {MOST_KEYS:,} keys")
                if line.count(b"[") + line.count(b"{") > MOST_BRACKETS:
                    try:
                        json.loads(line)
                    except RecursionError as error:
                        raise ValueError(f"line {number} has values within values without end") from error

    def _read(self, schema: pa.Schema | None) -> pa.Table:
        """Read the columns of a schema, or all with the types of their values."""
        import pyarrow.json as pj  # slow to import, and most commands do without

        parse: dict[str, Any] = (
            {} if schema is None else {"explicit_schema": schema, "unexpected_field_behavior": "ignore"}
        )
        with open_text(self.path, self._encoding) as file:
            return pj.read_json(
                file, pj.ReadOptions(use_threads=False, block_size=BLOCK_BYTES), pj.ParseOptions(**parse)
            )


def _as_written(kind: pa.DataType) -> pa.DataType:
    """Return the type that keeps a text that looks like a time as it is written, also in a list."""
    if pa.types.is_list(kind):
        return pa.list_(_as_written(kind.value_type))
    return pa.string() if pa.types.is_timestamp(kind) else kind

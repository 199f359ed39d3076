"""CSV as others write it: the separator, the heading and the encoding are found from the file."""

import csv
import io
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import pyarrow as pa

from featurestore.sources.formats import is_image_name
from featurestore.sources.text_file import BLOCK_BYTES, detect_encoding, open_text

SEPARATORS = ",;\t|"
SAMPLE_CHARACTERS, SAMPLE_ROWS = 1 << 16, 20  # from which separator and heading are found


class CsvTable:
    """A CSV file; all values are text, or null where it is empty.

    Lines end with LF, CRLF or CR. A file whose first row names an image has no heading: its columns are called path and label when
    there are two, else path and numbers from 1.
    """

    kind = "CSV"
    is_typed = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self._encoding, self.notes = detect_encoding(path)
        sample = self._sample()
        if "\0" in sample:
            raise ValueError("found NUL characters; save the file as UTF-8")
        self._separator = _separator(sample)
        rows = _rows(sample, self._separator)
        first = next((place for place, row in enumerate(rows) if row), None)
        names = [] if first is None else [name.strip() for name in rows[first]]
        self.has_heading = not any(map(_is_path, names))
        self._before = 0 if first is None else first + self.has_heading  # rows before the first one with values
        self._is_empty = not any(rows[self._before :])
        if not self.has_heading:
            names = _numbered(names)
            self.notes += (f"no heading; its columns are read as {', '.join(names)}",)
        self.schema = pa.schema([(name, pa.string()) for name in names])

    def _sample(self) -> str:
        """Read some whole lines from the start."""
        with open_text(self.path, self._encoding) as file:
            text = io.TextIOWrapper(file, "utf-8", newline="").read(SAMPLE_CHARACTERS)
        return text if len(text) < SAMPLE_CHARACTERS else "".join(text.splitlines(keepends=True)[:-1]) or text

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield all rows of some columns, in order."""
        import pyarrow.csv as pc  # slow to import, and most commands do without

        if self._is_empty:
            return
        places = [str(self.schema.names.index(name)) for name in names]  # by number: other names may occur twice
        with (
            open_text(self.path, self._encoding) as file,
            pc.open_csv(  # one thread, closed here: threads that outlive the reader end the program with SIGABRT
                file,
                pc.ReadOptions(
                    column_names=[str(place) for place in range(len(self.schema))],
                    skip_rows_after_names=self._before,
                    block_size=BLOCK_BYTES,
                    use_threads=False,
                ),
                pc.ParseOptions(delimiter=self._separator, newlines_in_values=True),
                pc.ConvertOptions(
                    column_types=dict.fromkeys(places, pa.string()),
                    include_columns=places,
                    strings_can_be_null=True,
                    null_values=[""],
                ),
            ) as reader,
        ):
            yield from reader


def _rows(sample: str, separator: str) -> list[list[str]]:
    return list(islice(csv.reader(io.StringIO(sample, newline=""), delimiter=separator), SAMPLE_ROWS))


def _separator(sample: str) -> str:
    """Choose the separator that gives every row the most columns."""
    return max(SEPARATORS, key=lambda separator: min((len(row) for row in _rows(sample, separator) if row), default=0))


def _is_path(cell: str) -> bool:
    return is_image_name(cell) or "::" in cell


def _numbered(row: list[str]) -> list[str]:
    """Name the columns of a table without a heading."""
    at = next(place for place, cell in enumerate(row) if _is_path(cell))
    if len(row) == 2:
        return ["path", "label"] if at == 0 else ["label", "path"]
    return ["path" if place == at else str(place + 1) for place in range(len(row))]

"""Labels and splits from a CSV or Parquet file."""

from pathlib import Path

import pyarrow as pa

from featurestore.errors import SourceError
from featurestore.sources.base import as_split
from featurestore.sources.keyed_table import KeyedTable, choose_key, headings, is_parquet, read_rows, readable


def read_labels(file: str | Path, key: str | None = None) -> KeyedTable:
    """Read a file with the columns path or id, label, and optionally split. Raises SourceError when it is something else."""
    path = Path(file)
    wanted = f"the columns {key or 'path'},label"
    with readable(path, f"of labels with {wanted}"):
        names = headings(path).names
        key = choose_key(names, key)
        if key is None or "label" not in names:
            raise SourceError(
                f"{path}: expected a {'Parquet' if is_parquet(path) else 'CSV'} file with {wanted} and perhaps split; found {names or None}"
            )
        chosen = [name for name in ("label", "split") if name in names]
        return read_rows(path, key, dict.fromkeys(chosen, pa.string()), _as_text)


def _as_text(name: str, values: pa.Array) -> pa.Array:
    import pyarrow.compute as pc  # slow to import, and most commands do without

    if pa.types.is_floating(values.type):  # pandas turns whole numbers into floats when one is missing
        values = values.cast(pa.int64())
    text = values.cast(pa.string())
    if name == "split":
        return pa.array([as_split(value) for value in text.to_pylist()], pa.string())
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)

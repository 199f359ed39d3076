"""Labels and splits from a table of a user."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

import pyarrow as pa

from featurestore.errors import SourceError
from featurestore.sources.base import MISSING, as_label, as_split
from featurestore.sources.column_names import LABEL, SPLIT, USUAL, ColumnNames, choose
from featurestore.sources.keyed_table import Key, KeyedTable, find_keys, read_rows
from featurestore.sources.user_table import UserTable, open_table, readable

WHOLE = r"^-?[0-9]+\.0$"  # how pandas writes whole numbers when one is missing
LONGEST = 1_000  # characters
_Column = tuple[str, pa.DataType, Callable[[pa.Array], pa.Array]]  # its role, and the type and conversion of its values


def read_labels(file: str | Path, key: str | None = None, columns: ColumnNames = USUAL) -> KeyedTable:
    """Read a CSV, JSON Lines or Parquet file with columns for path or id, label, and optionally split, by their usual names or those in `columns`.

    Labels are text without control characters and blanks around; those of a column of lists are lists, under the name labels. Raises
    SourceError when the file is something else.
    """
    path = Path(file)
    wanted = f"the columns {key or 'path'},label"
    with readable(path, f"of labels with {wanted}"):
        table = open_table(path)
        names = table.schema.names
        keys = find_keys(str(path), names, key, columns.path)
        label = choose(str(path), names, LABEL, columns.label)
        if not keys or label is None:
            raise SourceError(
                f"{path}: expected a file of labels with {wanted} and perhaps split; found {', '.join(map(repr, names)) or 'none'}; "
                "choose others with --path-column and --label-column"
            )
        split = choose(str(path), names, SPLIT, columns.split)
        if len({keys[0].column, label, split}) < 3:
            raise SourceError(
                f"{path}: expected a column each of {keys[0].kind}s, labels and splits, found one column for two of them; choose others"
            )
        return _read(table, keys[0], label, split)


def _read(table: UserTable, key: Key, label: str, split: str | None) -> KeyedTable:
    labels = _Labels(table, label)
    chosen: dict[str, _Column] = {label: (labels.role, labels.type, labels.read)}
    if split is not None:
        chosen[split] = ("split", pa.string(), _splits)
    types = {name: kind for name, (_, kind, _) in chosen.items()}
    read = read_rows(table, key, types, lambda name, values: chosen[name][2](values))
    roles = {name: role for name, (role, _, _) in chosen.items()}
    renamed = [
        f"{role.removesuffix('s')}s: column {name}"
        for name, role in ({key.column: key.kind} | roles).items()
        if name.casefold() != role
    ]
    return replace(read, names=tuple(roles.values()), notes=(*read.notes, *renamed, *labels.notes()))


class _Labels:
    """The labels of one column as text, and what was changed to get them."""

    def __init__(self, table: UserTable, column: str) -> None:
        self._place = f"{table.path}: column {column!r}"
        self._missing = Counter[str]()
        self._drops_zero = not table.is_typed and _all_match(table, column, WHOLE)
        kind = table.schema.field(column).type
        self._are_lists = pa.types.is_list(kind) or pa.types.is_large_list(kind)

    @property
    def role(self) -> str:
        """Return "labels" for lists of them, else "label"."""
        return "labels" if self._are_lists else "label"

    @property
    def type(self) -> pa.DataType:
        return pa.list_(pa.string()) if self._are_lists else pa.string()

    def read(self, values: pa.Array) -> pa.Array:
        """Return labels as text, or lists of them; null where there is none. Raises SourceError for long texts."""
        if not self._are_lists:
            return self._texts(values)
        lengths = [0 if row is None else len(row) for row in values.to_pylist()]
        starts = pa.array(accumulate(lengths, initial=0), pa.int32())
        return pa.ListArray.from_arrays(starts, self._texts(values.flatten()))

    def _texts(self, values: pa.Array) -> pa.Array:
        import pyarrow.compute as pc  # slow to import, and most commands do without

        encoded = _as_text(values).dictionary_encode()
        names = [self._name(text) for text in encoded.dictionary.to_pylist()]
        for place, name in enumerate(names):
            if name in MISSING:
                self._missing[name] += pc.sum(pc.equal(encoded.indices, place)).as_py()
        return pa.array([None if name in MISSING else name for name in names], pa.string()).take(encoded.indices)

    def _name(self, text: str) -> str | None:
        name = as_label(text)
        if name is not None and len(name) > LONGEST:
            raise SourceError(
                f"{self._place}: expected names of classes, found a text of {len(name):,} characters; choose another column with --label-column"
            )
        return name.removesuffix(".0") if name is not None and self._drops_zero else name

    def notes(self) -> list[str]:
        """Say what was changed."""
        found = ", ".join(f"{text} ({count:,})" for text, count in self._missing.most_common())
        missing = [f"read as no label: {found}; if one is a class, give it another name"] if found else []
        return [*missing, *["labels such as 1.0 are read as 1"] * self._drops_zero]


def _as_text(values: pa.Array) -> pa.Array:
    import pyarrow.compute as pc

    if pa.types.is_floating(values.type):  # pandas turns whole numbers into floats when one is missing
        values = pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values).cast(pa.int64())
    if pa.types.is_boolean(values.type):  # as Python and pandas write them
        return pc.if_else(values, "True", "False")
    return values.cast(pa.string())


def _splits(values: pa.Array) -> pa.Array:
    encoded = _as_text(values).dictionary_encode()
    return pa.array(map(as_split, encoded.dictionary.to_pylist()), pa.string()).take(encoded.indices)


def _all_match(table: UserTable, column: str, pattern: str) -> bool:
    """Return whether all values that are not empty match, and there is one."""
    import pyarrow.compute as pc

    found = False
    for batch in table.batches([column]):
        matching = pc.match_substring_regex(batch.column(0), pattern)
        if pc.all(matching).as_py() is False:
            return False
        found = found or matching.null_count < len(matching)
    return found

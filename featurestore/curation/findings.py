"""What the reports of this room have in common: they convert to tables, and show their pictures in groups."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from featurestore.errors import QueryError
from featurestore.system.packages import require
from featurestore.system.spool import Spool
from featurestore.system.text import as_argument

if TYPE_CHECKING:
    import pandas as pd

    from featurestore.storage.storage import Storage


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of a report, with what is said of it."""

    path: str
    title: str  # one short line
    note: str = ""  # another one


@dataclass(frozen=True, slots=True)
class Gallery:
    """Pictures that belong together, such as the copies of one."""

    title: str
    pictures: Sequence[Picture]


class Findings(ABC):
    """What was found in a collection."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Give everything as values of JSON."""

    @abstractmethod
    def to_arrow(self) -> pa.Table:
        """Give one row for each item that is listed."""

    @abstractmethod
    def galleries(self) -> list[Gallery]:
        """Give what is listed as groups of pictures, the most important first."""

    @property
    def columns(self) -> pa.Table:
        """What `keep_columns` writes into the store: the ids of some items, and a column or more about them."""
        raise NotImplementedError

    def to_pandas(self) -> pd.DataFrame:
        """Give `to_arrow` as a data frame. Raises ConfigError when pandas is not installed."""
        require("pandas", extra="pandas")
        frame: pd.DataFrame = self.to_arrow().to_pandas()
        return frame


def keep_columns(store: Storage, findings: Findings) -> tuple[str, ...]:
    """Write the columns of a report into the store, for `where` and `sql`; items that the report does not name get no value.

    Returns their names. Raises QueryError when the user has a column of such a name with other values.
    """
    table = findings.columns
    names = tuple(table.column_names[1:])
    with store.writing():
        known = store.catalog.columns.all()
        for name in names:
            kind = table.schema.field(name).type
            if name in known and known[name] != kind:
                raise QueryError(
                    f"column {name!r} has values of type {known[name]}, expected {kind}: it is your own; remove or rename it first: "
                    f"featurestore annotate {as_argument(store.path)} --drop {as_argument(name)}"
                )
        ids = store.catalog.items.select("true")
        place = np.full(len(ids), -1)
        _, here, there = np.intersect1d(ids, table["id"].to_numpy(), assume_unique=True, return_indices=True)
        place[here] = there
        taken = pa.array(place, mask=place < 0)
        rows = Spool(pa.schema([("id", pa.int64()), *((name, table.schema.field(name).type) for name in names)]))
        columns = [table[name].combine_chunks().take(taken) for name in names]
        rows.add_batch(pa.record_batch([pa.array(ids), *columns], schema=rows.schema))
        store.catalog.columns.set_values(names, rows)
    return names

"""What the reports of this room have in common: they convert to tables, and show their pictures in groups."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import pyarrow as pa

from featurestore.rendering.galleries import Gallery
from featurestore.system.disk import require_suffix
from featurestore.system.packages import require
from featurestore.system.spool import Spool
from featurestore.system.text import counted

if TYPE_CHECKING:
    import pandas as pd

    from featurestore.storage.storage import Storage

# Columns that reports write into the store, with the command that gives the report.
WRITTEN = {
    "dup_group": "duplicates",
    "outlier": "outliers",
    "label_suspect": "label-errors",
    "cluster": "clusters",
    "suggested": "suggest",
    "coverage": "coverage",
}


@dataclass(frozen=True, slots=True)
class Findings(ABC):
    """What was found in a collection: entries, the most important first. A notebook shows them as pictures."""

    adds_to_columns: ClassVar[bool] = False  # `keep_columns` leaves the values of items that the report does not name

    listed: ClassVar[str]  # the field of the entries
    encoder: str  # fingerprint
    bands: tuple[int, ...] | None = field(default=None, kw_only=True)  # that it reads, and pictures show

    @property
    @abstractmethod
    def title(self) -> str:
        """What it is, in a few words."""

    @property
    @abstractmethod
    def summary(self) -> list[str]:
        """What was found, in sentences."""

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

    def first(self, limit: int | None) -> Self:
        """Give the same with at most so many entries; counts stay those of all."""
        return self if limit is None else replace(self, **{self.listed: getattr(self, self.listed)[:limit]})

    def html(self, path: str | Path) -> Path:
        """Write what is listed as one HTML page with all pictures inside. Raises ConfigError, DiskError."""
        from featurestore.rendering import galleries_page as page  # here, since most findings are not drawn

        require_suffix(Path(path), (".html", ".htm"), "a page")
        page.write(Path(path), self.title, self.summary, self.galleries(), [("encoder", self.encoder[:16])], self.bands)
        return Path(path)

    def sheet(self, path: str | Path) -> Path:
        """Draw what is listed into a picture file. Raises ConfigError, DiskError."""
        from featurestore.rendering import contact_sheet
        from featurestore.rendering.gallery_sheet import gallery_sheet

        require_suffix(Path(path), contact_sheet.SUFFIXES, "a contact sheet")
        contact_sheet.save(gallery_sheet(self.title, self.summary, self.galleries(), self.bands), Path(path))
        return Path(path)

    def _repr_html_(self) -> str:
        from featurestore.rendering import notebook

        return notebook.render_galleries(self.title, self.summary, self.galleries(), self.bands)

    def to_pandas(self) -> pd.DataFrame:
        """Give `to_arrow` as a data frame. Raises ConfigError when pandas is not installed."""
        require("pandas", extra="pandas")
        frame: pd.DataFrame = self.to_arrow().to_pandas()
        return frame


def check_columns(store: Storage, command: str) -> None:
    """Raise QueryError when the items have a column that a command would write, and did not write before."""
    store.catalog.columns.require_written_by(command, [name for name, by in WRITTEN.items() if by == command])


def keep_columns(store: Storage, findings: Findings) -> tuple[str, ...]:
    """Write the columns of a report into the store, for `where` and `sql`; items that the report does not name get no value, or keep theirs.

    Columns that the same command wrote before are replaced. Returns the names. Raises QueryError when the items have a column of such a
    name that another command or the user wrote, StoreBusy, DiskError.
    """
    table = findings.columns
    names = tuple(table.column_names[1:])
    rows = Spool(table.schema)
    for batch in table.to_batches():
        rows.add_batch(batch)
    with store.writing():
        store.catalog.columns.write(WRITTEN[names[0]], rows, everywhere=not findings.adds_to_columns)
    return names


def neighbours_note(recall: float) -> list[str]:
    """Say how many of the neighbours were found, where an index found them: one sentence, or none."""
    return [f"neighbours are from an index, which finds {recall:.1%} of them"] if recall < 1 else []


def unseen_note(count: int, instead: str) -> list[str]:
    """Say how many pictures could not be looked at, and what they are judged by instead: one sentence, or none."""
    if not count:
        return []
    return [
        f"{counted(count, 'picture')} could not be looked at, since their files are gone, changed or broken; {instead}"
    ]

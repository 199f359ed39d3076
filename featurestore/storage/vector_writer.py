"""The one way in which vectors get into a store: to disk first, then into the catalog."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurestore.catalog import Batch, Catalog, EncoderRecord, FailedFile, ItemChange, LabelCounts
from featurestore.storage.layout import Layout
from featurestore.storage.vectors import VectorFile


class VectorWriter:
    """Appends vectors of one encoder and records their items. The store's only writer may have one."""

    def __init__(self, catalog: Catalog, layout: Layout, record: EncoderRecord) -> None:
        """Begin after the committed rows. Raises StoreCorrupt when the vector file is shorter than the catalog says."""
        self._catalog, self._encoder = catalog, record.fingerprint
        self._file = VectorFile(layout.vector_file(record), record.dim)
        self._file.check(record.rows)
        self.rows = record.rows  # committed; the next vector gets this row

    def commit(
        self,
        changes: Sequence[ItemChange],
        vectors: NDArray[np.floating],
        next_item: int,
        failures: Sequence[FailedFile] = (),
        values: pa.Table | None = None,
        change: int = 0,
    ) -> LabelCounts:
        """Append vectors (n, D) and flush them to disk, then record changes and failures in one transaction.

        A crash in between leaves rows that no item refers to; the next writer cuts them off. changes: those with a vector have
        the rows `self.rows` to `self.rows` + n - 1. values: columns of the user, by id. change: number under which the history
        keeps labels that are replaced. Returns what happened to labels. Raises DiskError, StoreCorrupt.
        """
        if not changes and not failures:
            return LabelCounts()
        blocks = [self._file.append(vectors, self.rows)] if len(vectors) else []
        rows = self.rows + len(vectors)
        batch = Batch(changes, failures, blocks, next_item, rows, values, change)
        labels = self._catalog.changes.commit(self._encoder, batch)
        self.rows = rows
        return labels

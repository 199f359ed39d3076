"""The catalog of a store: what its one writer records, and what everybody reads. Each call has a connection of its own.

There are no keys and no secondary indexes: one writer at a time keeps ids and paths unique, and tables ordered by id are
searched by their zone maps.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurestore.catalog import classifiers, columns, reading, recording
from featurestore.catalog import diff as plan
from featurestore.catalog import lookup as matching
from featurestore.catalog import migrate as whole
from featurestore.catalog import repair as upkeep
from featurestore.catalog.connection import Connection, Database, ask, ask_where, check_expression
from featurestore.catalog.diff import Claim, Plan
from featurestore.catalog.file import State
from featurestore.catalog.lookup import Matched, Spellings
from featurestore.catalog.reading import Contents, Details
from featurestore.catalog.records import Batch, ClassifierRecord, EncoderRecord, IndexRecord, Known
from featurestore.catalog.schema import SCHEMA
from featurestore.system.checksums import Block
from featurestore.system.spool import Spool


class Catalog:
    """The DuckDB file of a store."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database = Database(path)

    # -- schema

    def check(self) -> int:
        """Give the version of the schema. Raises StoreError when it is of a newer featurestore, StoreCorrupt when there is none."""
        return whole.schema_version(self._database)

    def create(self) -> None:
        """Create the catalog, when it is not there: whole, or not at all."""
        if not self._path.exists():
            whole.publish(self._path, lambda connection: connection.execute(SCHEMA))

    def rewrite(self, blocks: Callable[[EncoderRecord], Sequence[Block]] | None = None) -> None:
        """Write the catalog anew: of the present schema, without the space that deleted rows left; whole, or not at all.

        blocks: gives the checksums of an encoder's vector file when the old catalog has none.
        """
        whole.rewrite(self._database, blocks)

    # -- damage

    def closed(self) -> AbstractContextManager[None]:
        """Keep the file closed in this process for the length of the block, which may copy or move it."""
        return self._database.closed()

    def unreadable(self) -> str | None:
        """Read all of the catalog: what cannot be read of it, in words; None when all can."""
        return upkeep.unreadable(self._database)

    def contradictions(self) -> list[str]:
        """Say in words, and with numbers, where rows contradict each other."""
        with self._database.connect(read_only=True) as connection:
            return [text for text, _ in upkeep.contradictions(connection)]

    def settle(self) -> None:
        """Make rows agree that contradict each other; what cannot be decided is left to be encoded again."""
        with self._database.transaction() as connection:
            for _, rule in upkeep.contradictions(connection):
                connection.execute(rule.mend)

    def salvage(self, keep: Callable[[], Any]) -> dict[str, int]:
        """Put a new catalog in the place of a damaged one, with all that can be read of it; returns what is lost, with numbers.

        `keep` is called when the new one is whole, and puts the files of the old one somewhere else, its log above all.
        Raises StoreCorrupt when nothing can be read, DiskError; then all is as before.
        """
        upkeep.columns_of(self._database)
        lost: dict[str, int] = {}

        def fill(connection: Connection) -> None:
            lost.update(upkeep.salvage(self._database, connection))

        whole.publish(self._path, fill, keep)
        return lost

    def set_blocks(self, encoder: str, blocks: Sequence[Block]) -> None:
        """Take other checksums for the vector file of an encoder."""
        with self._database.transaction() as connection:
            recording.set_blocks(connection, encoder, blocks)

    # -- encoders and indexes

    def encoders(self) -> list[EncoderRecord]:
        """All encoders of the store, oldest first."""
        with self._reading() as connection:
            return reading.encoders(connection)

    def encoders_and_indexes(self) -> tuple[list[EncoderRecord], list[IndexRecord]]:
        """Both, as they are at one moment."""
        with self._reading() as connection:
            return reading.encoders(connection), reading.indexes(connection)

    def add_encoder(self, fingerprint: str, name: str, dim: int, card: str) -> None:
        """Make an encoder known, with no rows; one that is known stays as it is."""
        with self._database.transaction() as connection:
            recording.add_encoder(connection, fingerprint, name, dim, card)

    def blocks(self, encoder: str) -> tuple[EncoderRecord, list[Block]]:
        """An encoder as it is now, and the checksums of its vector file, in order."""
        with self._reading() as connection:
            return reading.encoder_record(connection, encoder), reading.blocks(connection, encoder)

    def publish_vectors(
        self, encoder: str, file: str, rows: NDArray[np.int64], items: NDArray[np.int64], blocks: Sequence[Block]
    ) -> None:
        """Take another vector file for an encoder: its row r is the vector that was row `rows[r]`, of the item `items[r]`. Its index goes."""
        with self._database.transaction() as connection:
            recording.publish_vectors(connection, encoder, file, rows, items, blocks)

    def indexes(self) -> list[IndexRecord]:
        """The indexes of all encoders that have one. Raises StoreCorrupt when a name could lead out of the store."""
        with self._reading() as connection:
            return reading.indexes(connection)

    def index_of(self, encoder: str) -> IndexRecord | None:
        """The index of an encoder, None when it has none."""
        return next((index for index in self.indexes() if index.encoder == encoder), None)

    def publish_index(self, index: IndexRecord) -> None:
        """Take another index for an encoder."""
        with self._database.transaction() as connection:
            recording.publish_index(connection, index)

    def drop_index(self, encoder: str) -> None:
        """Forget the index of an encoder, if it has one."""
        with self._database.transaction() as connection:
            recording.drop_index(connection, encoder)

    # -- indexing

    def plan(
        self,
        encoder: str,
        found: Spool,
        several: bool,
        by_folder: bool,
        claims: Sequence[Claim],
        hidden: Sequence[str],
        container: str,
    ) -> Plan:
        """Say what of the files found has to be encoded with `encoder`, and what is gone; see `plan.py`.

        container: the pattern of a container's suffix.
        """
        with self._reading() as connection:
            if several:
                found = plan.once(connection, found)
            todo = plan.make_todo(connection, encoder, found, by_folder)
            vanished, forgotten = plan.not_found(connection, found, claims, hidden, container)
            record = reading.encoder_record(connection, encoder)
            next_item = reading.next_item(connection)
        return Plan(todo, found.rows, vanished, forgotten, next_item, record.rows, record.file)

    def commit(self, encoder: str, batch: Batch) -> None:
        """Record one batch in one transaction: items with their rows, failures, checksums and the counters.

        A path that succeeds loses its failure; an item whose path fails is removed.
        """
        with self._database.transaction() as connection:
            recording.commit(connection, encoder, batch)

    def remove(self, ids: NDArray[np.int64], gone: Sequence[str]) -> None:
        """Mark items as removed, and forget the failures of paths that are gone."""
        with self._database.transaction() as connection:
            recording.remove(connection, ids, gone)

    def delete(self, ids: NDArray[np.int64]) -> None:
        """Forget items and that any encoder has vectors of them."""
        with self._database.transaction() as connection:
            recording.delete(connection, ids)

    # -- reading

    def state(self) -> State:
        """What stays the same as long as the catalog does."""
        return self._database.state()

    def placed(self, encoder: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The rows of an encoder's vector file that count, ascending, and the ids of their items."""
        with self._reading() as connection:
            return reading.placed(connection, encoder)

    def contents(self, encoder: str) -> Contents:
        """Read which items an encoder of the store has vectors of, and in which rows."""
        with self._reading() as connection:
            return reading.contents(connection, encoder)

    def details(self, encoder: str) -> Details:
        """All that is known of the items an encoder has vectors of, ascending by row."""
        with self._reading() as connection:
            return reading.details(connection, encoder)

    def hits(self, encoder: str, rows: NDArray[np.int64]) -> pa.Table:
        """The items of some rows, in any order: row, id, path, label; rows of items that are not there any more are missing."""
        with self._reading() as connection:
            return reading.hits(connection, encoder, rows)

    def rows_of(self, encoder: str, ids: NDArray[np.int64]) -> pa.Table:
        """The rows of some items, in any order: id, row, path; items that are not there, or without a vector, are missing."""
        with self._reading() as connection:
            return reading.rows_of(connection, encoder, ids)

    def choose(self, where: str, seconds: float = 30.0, vanished: bool = False) -> NDArray[np.int64]:
        """Ids of the items for which `where` holds, one SQL expression over the columns of `items`, ascending.

        vanished: also of items that are marked as removed.

        Raises QueryError when it is no such expression, or takes too long.
        """
        check_expression(where)
        with self._database.guarded(seconds) as connection:
            return ask_where(connection, where, reading.where_sql(where, vanished))

    def allowed(self, encoder: str, where: str, seconds: float = 30.0) -> NDArray[np.int64]:
        """Rows of the items for which `where` holds and that an encoder has a valid vector of, ascending. Raises QueryError like `choose`."""
        check_expression(where)
        with self._database.guarded(seconds) as connection:
            return ask_where(connection, where, reading.allowed_sql(encoder, where))

    def known(self, encoder: str, paths: Sequence[str]) -> tuple[dict[str, Known], int]:
        """What is known of some paths, and the next item id."""
        with self._reading() as connection:
            return reading.known(connection, encoder, paths)

    def failures(self) -> list[tuple[str, str, Any]]:
        """Path, reason and time of every file that could not be used, by path."""
        with self._reading() as connection:
            return connection.execute("SELECT path, reason, seen_at FROM failures ORDER BY path").fetchall()

    def counts(self) -> dict[str, Any]:
        """Numbers of items, labelled items, removed items and failures, items by split and label, and the types of the user's columns."""
        with self._reading() as connection:
            return reading.counts(connection)

    def sql(self, text: str, seconds: float) -> pa.Table:
        """Run one read-only statement of a user: no files, no settings, no writing, `seconds` at most. Raises QueryError."""
        with self._database.guarded(seconds) as connection:
            return ask(connection, text)

    def _reading(self) -> AbstractContextManager[Connection]:
        return self._database.connect(read_only=True)

    # -- labels and the user's columns

    def match(self, rows: Spool, by_path: bool, spellings: Sequence[Spellings]) -> Matched:
        """Find the items that the rows of a file are about; see `matching.py`."""
        with self._reading() as connection:
            return matching.match(connection, rows, by_path, spellings)

    def columns(self) -> dict[str, pa.DataType]:
        """The user's columns of items by name."""
        with self._reading() as connection:
            return columns.user_columns(connection)

    def set_values(self, names: Sequence[str], rows: Spool) -> None:
        """Set the label, the split or columns of the user: rows hold the id of an item and a value for each of the names, and no id twice.

        Columns that are not there come into being, with the types of the rows.
        """
        with self._database.transaction() as connection:
            columns.add_columns(connection, pa.schema(zip(names, rows.schema.types[1:], strict=True)))
            columns.set_values(connection, names, rows.reader())

    def drop_column(self, name: str) -> None:
        """Take a column of the user away, with its values. Raises QueryError when there is none of that name."""
        with self._database.transaction() as connection:
            columns.drop_column(connection, name)

    # -- classifiers

    def classifiers(self) -> list[ClassifierRecord]:
        """All classifiers of the store, by name."""
        with self._reading() as connection:
            return classifiers.classifiers(connection)

    def classifier(self, name: str) -> ClassifierRecord:
        """Find a classifier by its name. Raises QueryError when there is none."""
        return classifiers.named(self.classifiers(), name)

    def check_columns(self, name: str) -> None:
        """Raise QueryError when a classifier of that name would write into columns that are not its own."""
        with self._reading() as connection:
            classifiers.check_columns(connection, name)

    def put_classifier(self, record: ClassifierRecord) -> None:
        """Keep a classifier, in the place of one of that name."""
        with self._database.transaction() as connection:
            classifiers.put_classifier(connection, record)

    def drop_classifier(self, name: str) -> tuple[str, ...]:
        """Forget a classifier; returns the columns that it filled, which stay. Raises QueryError when there is none of that name."""
        with self._database.transaction() as connection:
            return classifiers.drop_classifier(connection, name)

    def fill(self, record: ClassifierRecord, rows: Spool, everywhere: bool) -> None:
        """Set the columns of a classifier: rows hold the id of an item, a label and a confidence; see `classifiers.py`."""
        with self._database.transaction() as connection:
            classifiers.fill(connection, record, rows.reader(), everywhere)

"""The catalog of a store: one DuckDB file, by topic.

It has no keys and no secondary indexes: there is one writer at a time, which keeps ids and paths unique, and tables ordered by id are
searched by their zone maps.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from pathlib import Path

import pyarrow as pa

from featurestore.catalog import migrate
from featurestore.catalog.catalog_state import CatalogState
from featurestore.catalog.changes import Changes
from featurestore.catalog.classifiers import Classifiers
from featurestore.catalog.columns import UserColumns
from featurestore.catalog.connection import Database
from featurestore.catalog.content import check_content
from featurestore.catalog.deletions import Deletions
from featurestore.catalog.encoded_items import EncodedItems
from featurestore.catalog.encoders import Encoders
from featurestore.catalog.indexes import Indexes
from featurestore.catalog.items import Items
from featurestore.catalog.labels import Labels
from featurestore.catalog.log import usable_log
from featurestore.catalog.measures import Measures
from featurestore.catalog.pages import ItemPages
from featurestore.catalog.paths import Paths
from featurestore.catalog.records import EncoderRecord
from featurestore.catalog.repair import Repair
from featurestore.catalog.schema import SCHEMA
from featurestore.catalog.settings import Settings
from featurestore.catalog.sources import Sources
from featurestore.system.checksums import BlockChecksum

KEPT = 4  # files whose engine is kept when nobody uses it


class Catalog:
    """The DuckDB file of a store. Each call has a connection of its own, so several processes can use the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._database = database = _database(path, path.resolve())
        self.items = Items(database)
        self.pages = ItemPages(database)
        self.encoded = EncodedItems(database)
        self.changes = Changes(database)
        self.deletions = Deletions(database)
        self.encoders = Encoders(database)
        self.indexes = Indexes(database)
        self.labels = Labels(database)
        self.sources = Sources(database)
        self.paths = Paths(database)
        self.columns = UserColumns(database)
        self.classifiers = Classifiers(database)
        self.measures = Measures(database)
        self.settings = Settings(database)
        self.repair = Repair(database)

    def create(self) -> None:
        """Create the file, when it does not exist: complete, or not at all. Raises DiskError."""
        if not self.path.exists():
            self._database.trust(migrate.publish(self.path, lambda connection: connection.execute(SCHEMA)))

    def schema_version(self) -> int:
        """Read the version of the schema. Raises StoreError for a newer one, StoreCorrupt when there is none."""
        return migrate.schema_version(self._database)

    def rewrite(self, blocks: Callable[[EncoderRecord], Sequence[BlockChecksum]] | None = None) -> None:
        """Write the file again with the present schema, compacted; see `migrate.rewrite`."""
        migrate.rewrite(self._database, blocks)

    def usable_log(self) -> bytes | None:
        """Give the beginning of DuckDB's log that can be applied, None when it is not damaged; see `log.usable_log`."""
        return usable_log(self._database)

    def state(self) -> CatalogState:
        """Give a value that changes with every transaction; see `Database.state`."""
        return self._database.state()

    def closed(self) -> AbstractContextManager[None]:
        """Keep the file closed in this process for the length of the block, which may copy or move it."""
        return self._database.closed()

    def sql(self, text: str, seconds: float) -> pa.Table:
        """Run one read-only statement of a user: no files, no settings, no writing, at most `seconds`. Raises QueryError."""
        return self._database.run_sql(text, seconds)


@lru_cache(maxsize=KEPT)
def _database(path: Path, resolved: Path) -> Database:
    """Give a file as all catalogs of this process use it: opening a store again starts no engine and looks at no content that was looked at.

    resolved: tells paths of one spelling apart after the current folder, or a link, was changed.
    """
    return Database(path, lambda connection: check_content(connection, path))

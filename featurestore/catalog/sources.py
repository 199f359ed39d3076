"""The sources of a store: what `index` was given, so that it can be run again without saying them."""

from collections.abc import Sequence

import pyarrow as pa

from featurestore.catalog.connection import Database


class Sources:
    """The sources of a catalog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[str]:
        """Read the sources, oldest first."""
        with self._database.reading() as connection:
            return [row[0] for row in connection.execute("SELECT path FROM sources ORDER BY added_at, path").fetchall()]

    def add(self, paths: Sequence[str]) -> None:
        """Remember sources; nothing is written when they are known."""
        new = sorted(set(paths) - set(self.all()))
        if new:
            with self._database.transaction() as connection:
                connection.register("new", pa.table({"path": pa.array(new, pa.string())}))
                connection.execute("INSERT INTO sources SELECT path, now()::TIMESTAMP FROM new")

    def drop(self, path: str) -> None:
        """Forget a source."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM sources WHERE path = ?", [path])

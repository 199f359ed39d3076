"""The sources of a store: what `index` was given, so that it can be run again without saying them."""

from collections.abc import Mapping, Sequence

import pyarrow as pa

from featurestore.catalog.connection import Database
from featurestore.catalog.engine import after_all


class Sources:
    """The sources of a catalog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> dict[str, tuple[str, ...]]:
        """Read the sources, oldest first, each with its patterns of what to leave out."""
        with self._database.reading() as connection:
            found = connection.execute("SELECT path, exclude FROM sources ORDER BY added_at, path").fetchall()
            return {path: tuple(exclude or ()) for path, exclude in found}

    def add(self, sources: Mapping[str, Sequence[str]]) -> None:
        """Remember sources with their patterns; nothing is written when they are known."""
        known = self.all()
        new = {path: list(exclude) for path, exclude in sorted(sources.items()) if known.get(path) != tuple(exclude)}
        if new:
            with self._database.transaction() as connection:
                rows = {"path": pa.array(new, pa.string()), "exclude": pa.array(new.values(), pa.list_(pa.string()))}
                connection.register("new", pa.table(rows))
                connection.execute("UPDATE sources SET exclude = new.exclude FROM new WHERE sources.path = new.path")
                connection.execute(
                    f"INSERT INTO sources SELECT path, {after_all('sources')}, exclude FROM new WHERE path NOT IN (SELECT path FROM sources)"
                )

    def drop(self, path: str) -> None:
        """Forget a source."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM sources WHERE path = ?", [path])

"""Damage of a catalog, found and repaired: unreadable bytes, and rows that contradict each other."""

from collections.abc import Callable
from typing import Any

from featurestore.catalog.connection import Database
from featurestore.catalog.contradictions import violations
from featurestore.catalog.engine import Connection
from featurestore.catalog.migrate import publish
from featurestore.catalog.salvage import columns_of, salvage
from featurestore.catalog.schema import TABLES
from featurestore.errors import StoreCorrupt


class Repair:
    """Checks and repairs of a catalog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def unreadable(self) -> str | None:
        """Read the whole catalog; give the first problem in words, None when everything can be read."""
        if not self._database.path.exists():
            return "the file is missing"
        try:
            with self._database.reading() as connection:
                for table in TABLES:  # a hash over all columns reads every byte of them
                    connection.execute(f"SELECT bit_xor(hash(*COLUMNS(*))) FROM {table}").fetchall()
        except StoreCorrupt as error:
            return str(error.__cause__).splitlines()[0]
        return None

    def contradictions(self) -> list[str]:
        """Say in words, with numbers, where rows contradict each other."""
        with self._database.reading() as connection:
            return [text for text, _ in violations(connection)]

    def resolve_contradictions(self) -> None:
        """Make contradicting rows agree; what cannot be decided is left to be encoded again."""
        with self._database.transaction() as connection:
            for _, rule in violations(connection):
                connection.execute(rule.repair)

    def salvage(self, move_away: Callable[[], Any]) -> dict[str, int]:
        """Put a new catalog in the place of a damaged one, with everything that can be read; returns what is lost, with numbers.

        `move_away` is called when the new catalog is complete; it moves the old files somewhere else, above all the log.
        Raises StoreCorrupt when nothing can be read, DiskError; then nothing has changed.
        """
        columns_of(self._database)
        lost: dict[str, int] = {}

        def fill(connection: Connection) -> None:
            lost.update(salvage(self._database, connection))

        publish(self._database.path, fill, move_away)
        return lost

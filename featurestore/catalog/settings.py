"""What users have settled for a store, by name."""

import json
from typing import Any

from featurestore.catalog.connection import Database


class Settings:
    """The settings of a catalog: values of JSON."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, name: str) -> Any:
        """Read a value; None where nothing is settled, or what is there cannot be read."""
        with self._database.reading() as connection:
            found = connection.execute("SELECT value FROM settings WHERE name = ? LIMIT 1", [name]).fetchall()
        try:
            return json.loads(found[0][0]) if found else None
        except (ValueError, RecursionError):  # of a stranger: numbers of thousands of digits, or very deep
            return None

    def put(self, name: str, value: Any) -> None:
        """Settle a value in place of what there is."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM settings WHERE name = ?", [name])
            connection.execute("INSERT INTO settings VALUES (?, ?)", [name, json.dumps(value)])

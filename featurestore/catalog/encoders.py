"""Encoders: which there are, their vector files, and the checksums of these."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurestore.catalog.connection import Database
from featurestore.catalog.engine import Connection, after_all
from featurestore.catalog.records import BLOCKS, EncoderRecord, no_such_encoder, table
from featurestore.system.checksums import BlockChecksum

SELECT = "SELECT fingerprint, name, dim, rows, file, card FROM encoders"


class Encoders:
    """The encoders of a catalog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[EncoderRecord]:
        """Read all encoders: the default one, then the others, oldest first."""
        with self._database.reading() as connection:
            return encoder_records(connection)

    def add(self, fingerprint: str, name: str, dim: int, card: str) -> EncoderRecord:
        """Add an encoder with no vectors; one that is there already stays as it is. Returns its record."""
        with self._database.transaction() as connection:
            connection.execute(
                f"""INSERT INTO encoders SELECT $1, $2, $3, 0, $4, {after_all("encoders")}, $1[:16] || '.f16'
                   WHERE $1 NOT IN (SELECT fingerprint FROM encoders)""",
                [fingerprint, name, dim, card],
            )
            return encoder_record(connection, fingerprint)

    def set_default(self, fingerprint: str) -> None:
        """Make an encoder the default one."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE meta SET default_encoder = ?", [fingerprint])

    def rename(self, fingerprint: str, name: str) -> None:
        """Give an encoder another name."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE encoders SET name = ? WHERE fingerprint = ?", [name, fingerprint])

    def drop(self, fingerprint: str) -> None:
        """Remove an encoder, the links to its vectors, their checksums and its index."""
        with self._database.transaction() as connection:
            for table in ("vectors", "blocks", "indexes"):
                connection.execute(f"DELETE FROM {table} WHERE encoder = ?", [fingerprint])
            connection.execute("DELETE FROM encoders WHERE fingerprint = ?", [fingerprint])
            connection.execute("UPDATE meta SET default_encoder = NULL WHERE default_encoder = ?", [fingerprint])

    def blocks(self, encoder: str) -> tuple[EncoderRecord, list[BlockChecksum]]:
        """Read an encoder as it is now, and the checksums of its vector file, in order."""
        with self._database.reading() as connection:
            record = encoder_record(connection, encoder)
            found = connection.execute(
                "SELECT first, rows, sha256 FROM blocks WHERE encoder = ? ORDER BY first", [encoder]
            )
            return record, [BlockChecksum(*row) for row in found.fetchall()]

    def set_blocks(self, encoder: str, blocks: Sequence[BlockChecksum]) -> None:
        """Replace the checksums of an encoder's vector file."""
        with self._database.transaction() as connection:
            replace_blocks(connection, encoder, blocks)

    def publish_vectors(
        self,
        encoder: str,
        file: str,
        rows: NDArray[np.int64],
        items: NDArray[np.int64],
        blocks: Sequence[BlockChecksum],
    ) -> None:
        """Switch an encoder to another vector file: row r of it was row `rows[r]` and belongs to the item `items[r]`.

        The encoder's index is dropped, because it is about the old file.
        """
        with self._database.transaction() as connection:
            connection.register("moved", pa.table({"old": rows, "item": items, "row": np.arange(len(rows))}))
            connection.execute(
                "CREATE TEMP TABLE kept AS SELECT m.item, v.encoder, m.row, v.sha256 FROM moved m JOIN vectors v ON v.encoder = ? AND v.row = m.old",
                [encoder],
            )
            connection.execute("DELETE FROM vectors WHERE encoder = ?", [encoder])
            connection.execute("INSERT INTO vectors SELECT * FROM kept ORDER BY row")
            replace_blocks(connection, encoder, blocks)
            connection.execute(
                "UPDATE encoders SET file = ?, rows = ? WHERE fingerprint = ?", [file, len(rows), encoder]
            )
            connection.execute("DELETE FROM indexes WHERE encoder = ?", [encoder])


def encoder_records(connection: Connection) -> list[EncoderRecord]:
    """Read all encoders: the default one, then the others, oldest first."""
    chosen = "(SELECT default_encoder FROM meta)"
    rows = connection.execute(
        f"{SELECT} ORDER BY fingerprint IS DISTINCT FROM {chosen}, added_at, fingerprint"
    ).fetchall()
    return [EncoderRecord.read(*row) for row in rows]


def encoder_record(connection: Connection, encoder: str) -> EncoderRecord:
    """Read one encoder by its fingerprint. Raises EncoderNotInStore when it was dropped."""
    found = connection.execute(f"{SELECT} WHERE fingerprint = ?", [encoder]).fetchall()
    if not found:
        raise no_such_encoder(encoder[:16], encoder_records(connection))
    return EncoderRecord.read(*found[0])


def replace_blocks(connection: Connection, encoder: str, blocks: Sequence[BlockChecksum]) -> None:
    """Replace the checksums of an encoder's vector file."""
    connection.execute("DELETE FROM blocks WHERE encoder = ?", [encoder])
    add_blocks(connection, encoder, blocks)


def add_blocks(connection: Connection, encoder: str, blocks: Sequence[BlockChecksum]) -> None:
    """Add the checksums of rows that were appended to an encoder's vector file."""
    connection.register("new_blocks", table(blocks, BLOCKS))
    connection.execute("INSERT INTO blocks SELECT ?, first, rows, sha256 FROM new_blocks ORDER BY first", [encoder])

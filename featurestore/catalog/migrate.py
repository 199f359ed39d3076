"""Catalogs as files: of which schema they are, and new ones in the place of old ones, whole or not at all."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from featurestore.catalog import reading, recording
from featurestore.catalog.connection import Connection, Database, quoted
from featurestore.catalog.records import EncoderRecord
from featurestore.catalog.schema import CHECKSUMS_SINCE, MIGRATIONS, SCHEMA_VERSION
from featurestore.errors import StoreCorrupt, StoreError
from featurestore.system.checksums import Block
from featurestore.system.disk import written_whole

PART = "catalog.duckdb.part"  # its name until it is whole


def schema_version(database: Database) -> int:
    """Give the version of the schema. Raises StoreError when it is of a newer featurestore, StoreCorrupt when there is none."""
    with database.connect(read_only=True) as connection:
        found = connection.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'meta'").fetchall()
        version = int(connection.execute("SELECT schema_version FROM meta").fetchall()[0][0]) if found else 0
    if version == 0:
        raise StoreCorrupt(
            f"{database.path}: expected a catalog of featurestore, found a database without its tables; index into a new store"
        )
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{database.path} has schema {version}, this featurestore knows up to {SCHEMA_VERSION}; upgrade featurestore"
        )
    return version


def rewrite(database: Database, blocks: Callable[[EncoderRecord], Sequence[Block]] | None) -> None:
    """Write a catalog anew: of the present schema, without the space that deleted rows left.

    blocks: gives the checksums of an encoder's vector file when the old catalog has none.
    """
    with database.connect(read_only=False) as connection:
        connection.execute("CHECKPOINT")  # a log beside the old file would be taken for one of the new
    version = schema_version(database)

    def fill(connection: Connection) -> None:
        (name,) = connection.execute("SELECT current_database()").fetchall()[0]
        with database.closed():
            connection.execute(f"ATTACH {quoted(database.path)} AS old (READ_ONLY)")
            try:
                connection.execute(f'COPY FROM DATABASE old TO "{name}"')
            finally:
                connection.execute("DETACH old")
        for number in range(version, SCHEMA_VERSION):
            connection.execute(MIGRATIONS[number])
        if blocks is not None and version < CHECKSUMS_SINCE:
            for record in reading.encoders(connection):
                recording.set_blocks(connection, record.fingerprint, blocks(record))

    publish(database.path, fill)


def publish(path: Path, fill: Callable[[Connection], Any], before: Callable[[], Any] = lambda: None) -> None:
    """Put a catalog at a path once `fill` has filled it, after a call of `before`. Raises DiskError."""
    Path(f"{path.with_name(PART)}.wal").unlink(missing_ok=True)
    with written_whole(path, "free some space and run the same command again") as part:
        part.unlink(missing_ok=True)
        with Database(part).connect(read_only=False) as connection:
            fill(connection)
            connection.execute("CHECKPOINT")  # all of it is in the file itself, none in a log beside it
        before()

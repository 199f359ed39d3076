"""The catalog as a file: its schema version, and a new file in the place of the old one, complete or not at all."""

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from featurestore.catalog.catalog_state import FileStat, stat_of
from featurestore.catalog.column_writers import record_earlier_writers
from featurestore.catalog.connection import Database
from featurestore.catalog.content import newer
from featurestore.catalog.encoders import encoder_records, replace_blocks
from featurestore.catalog.engine import Connection, quoted, quoted_name
from featurestore.catalog.records import EncoderRecord
from featurestore.catalog.schema import CHECKSUMS_SINCE, MIGRATIONS, NEW_NAMES, SCHEMA_VERSION, WRITERS_SINCE
from featurestore.catalog.values import check_values
from featurestore.errors import StoreCorrupt, StoreUntrusted
from featurestore.system.checksums import BlockChecksum
from featurestore.system.disk import atomic_write_by_name


def schema_version(database: Database) -> int:
    """Read the version of the schema. Raises StoreCorrupt when there is none, StoreUntrusted when it makes no sense.

    The values of a catalog of the present version are looked at, too.
    """
    with database.reading() as connection:
        if not connection.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'meta'").fetchall():
            raise StoreCorrupt(
                f"{database.path}: expected a catalog of featurestore, found a database without its tables; index into a new store"
            )
        versions = [version for (version,) in connection.execute("SELECT schema_version FROM meta").fetchall()]
        if versions == [SCHEMA_VERSION]:
            check_values(connection, database.path)
    if len(versions) != 1 or versions[0] is None or versions[0] < 1:
        raise StoreUntrusted(
            f"{database.path}: expected the version of its schema, found {versions}; the catalog was changed by hand"
        )
    if versions[0] > SCHEMA_VERSION:
        raise newer(database.path, versions[0])
    return int(versions[0])


def rewrite(database: Database, blocks: Callable[[EncoderRecord], Sequence[BlockChecksum]] | None) -> None:
    """Write the catalog again, with the present schema and without the space that deleted rows left.

    blocks: gives the checksums of an encoder's vector file when the old catalog has none.
    """
    with database.connect(read_only=False) as connection:
        connection.execute("CHECKPOINT")  # a log left beside the old file would be applied to the new one
    version = schema_version(database)

    def fill(connection: Connection) -> None:
        (name,) = connection.execute("SELECT current_database()").fetchall()[0]
        with database.closed():
            connection.execute(f"ATTACH {quoted(database.path)} AS old (READ_ONLY)")
            try:
                connection.execute(f'COPY FROM DATABASE old TO "{name}"')
            finally:
                connection.execute("DETACH old")
        renamed = renamed_columns(connection.sql("FROM all_items LIMIT 0").columns, version)
        for name, new in renamed.items():
            connection.execute(f"ALTER TABLE all_items RENAME COLUMN {quoted_name(name)} TO {quoted_name(new)}")
        for number in range(version, SCHEMA_VERSION):
            connection.execute(MIGRATIONS[number])
        rename_classifiers(connection, renamed)
        if version < WRITERS_SINCE:
            record_earlier_writers(connection)
        if blocks is not None and version < CHECKSUMS_SINCE:
            for record in encoder_records(connection):
                replace_blocks(connection, record.fingerprint, blocks(record))

    publish(database.path, fill, others=[database.path])


def renamed_columns(names: Sequence[str], version: int) -> dict[str, str]:
    """Give new names for those columns of a catalog of an older version that a user gave a name which is ours now.

    The new name is `name_2`, or the next free number. The column with the confidence of a classifier is renamed with that of its classes.
    """
    ours = {new for since, added in NEW_NAMES.items() if since > version for new in added}
    by_lower = {name.lower(): name for name in names}
    renamed: dict[str, str] = {}
    for name in by_lower.keys() & ours:
        number = next(n for n in count(2) if not {f"{name}_{n}", f"{name}_{n}_confidence"} & by_lower.keys())
        renamed[by_lower[name]] = f"{by_lower[name]}_{number}"
        if (confidence := by_lower.get(f"{name}_confidence")) is not None:
            renamed[confidence] = f"{by_lower[name]}_{number}_confidence"
    return renamed


def rename_classifiers(connection: Connection, renamed: Mapping[str, str]) -> None:
    """Give classifiers the new names of the columns that they fill."""
    for name, new in renamed.items():
        connection.execute("UPDATE classifiers SET name = ? WHERE lower(name) = lower(?)", [new, name])


def publish(
    path: Path,
    fill: Callable[[Connection], Any],
    before: Callable[[], Any] = lambda: None,
    others: Sequence[Path] = (),
) -> FileStat | None:
    """Make a new catalog with `fill`, call `before`, and then give the new file the name `path`; returns its stat. Raises DiskError.

    others: files that `fill` attaches.
    """
    with atomic_write_by_name(path, "free some space and run the same command again") as part:
        with Database(part, others=others).connect(read_only=False) as connection:
            fill(connection)
            connection.execute("CHECKPOINT")  # everything is in the file itself, nothing in a log beside it
        before()
        return stat_of(str(part))

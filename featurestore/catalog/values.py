"""Values that featurestore never writes, such as a length below zero or a card that is no JSON: somebody changed the catalog by hand."""

from pathlib import Path

from featurestore.catalog.engine import Connection
from featurestore.errors import StoreUntrusted
from featurestore.system.text import counted

LONGEST_SETTING = 1 << 18  # characters of JSON
MOST = 1 << 40  # rows of a file, bytes, and items
ENCODER_CARD = "json_valid(card) AND " + " AND ".join(
    f"json_exists(card, '$.{key}')" for key in ("method", "backbone", "branch", "trained_on.count", "preprocess.size")
)
# What holds for every row of the small tables. Rows of items and vectors are looked at where they are read.
CONDITIONS = {
    "meta": f"schema_version >= 1 AND next_item BETWEEN 1 AND {MOST}",
    "encoders": f"fingerprint <> '' AND name <> '' AND dim >= 1 AND rows BETWEEN 0 AND {MOST} AND file <> '' AND {ENCODER_CARD}",
    "blocks": f"encoder <> '' AND first BETWEEN 0 AND {MOST} AND rows BETWEEN 0 AND {MOST} AND sha256 <> ''",
    "indexes": f"encoder <> '' AND rows BETWEEN 0 AND {MOST} AND bytes BETWEEN 0 AND {MOST} AND file <> '' AND vectors <> '' AND json_valid(card)",
    "classifiers": "name <> '' AND encoder <> '' AND card <> '' AND weights IS NOT NULL AND sha256 <> ''",
    "sources": "path <> '' AND (exclude IS NULL OR list_count(exclude) = len(exclude))",
    "written_columns": "name <> '' AND command <> ''",
    "settings": f"name <> '' AND len(value) <= {LONGEST_SETTING} AND json_valid(value)",
}
VIOLATIONS = " UNION ALL ".join(
    f"SELECT '{table}', count(*) FROM {table} WHERE NOT coalesce({condition}, FALSE)"
    for table, condition in CONDITIONS.items()
)


def check_values(connection: Connection, path: Path) -> None:
    """Raise StoreUntrusted when a row of a small table has a value that featurestore never writes."""
    found = [f"{counted(rows, 'row')} of {table}" for table, rows in connection.execute(VIOLATIONS).fetchall() if rows]
    if found:
        raise StoreUntrusted(
            f"{path}: expected values that featurestore writes, found others in {', '.join(found)}: the catalog was changed by hand; "
            "restore it from a backup, and do not use it if it is not your own"
        )

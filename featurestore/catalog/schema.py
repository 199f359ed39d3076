"""The tables of the catalog, and the migrations from older versions."""

import re
from collections.abc import Mapping

SCHEMA_VERSION = 9
CHECKSUMS_SINCE = 2  # the first version with checksums of vector files
WRITERS_SINCE = 8  # the first version that says which command wrote a column
# What the pixels of an item say, see `imaging.quality`: all four, or none where no version that knows them has decoded the item.
QUALITY = ("brightness", "contrast", "sharpness", "colourfulness")
# Our columns of all_items by the version that brought them; a user of an older version may have columns of these names.
NEW_NAMES = {5: ("label_source", "split_source"), 6: ("labels",), 7: QUALITY, 8: ("labelled_by", "labelled_at")}
# To be run again when a column is added or dropped: a view keeps the columns that its star meant when it was made.
ITEMS = "CREATE OR REPLACE VIEW items AS SELECT * EXCLUDE (removed_at) FROM all_items WHERE removed_at IS NULL;"

SCHEMA = f"""
CREATE TABLE meta (schema_version INTEGER, next_item BIGINT, default_encoder TEXT);  -- a fingerprint; NULL: the oldest
CREATE TABLE all_items (
    id BIGINT,            -- never reused
    path TEXT,            -- absolute, a URL, or CONTAINER::MEMBER; one item a path
    label TEXT,           -- of an item with one label
    labels TEXT[],        -- of an item with several: sorted and distinct; `label` is NULL then
    label_source TEXT,    -- where they come from: classifier, folder, file or person
    labelled_by TEXT, labelled_at TIMESTAMP,  -- who, where a person gave them, and when; NULL: not known
    split TEXT, split_source TEXT,
    width INTEGER, height INTEGER,
    brightness DOUBLE, contrast DOUBLE, sharpness DOUBLE, colourfulness DOUBLE,
    bytes BIGINT, mtime_ns BIGINT, sha256 TEXT,
    added_at TIMESTAMP,
    removed_at TIMESTAMP  -- set when the file vanished or is no image any more
);
{ITEMS}
CREATE TABLE encoders (
    fingerprint TEXT, name TEXT, dim INTEGER,
    rows BIGINT,          -- of its vector file, committed
    card TEXT, added_at TIMESTAMP,
    file TEXT             -- name of its vector file
);
CREATE TABLE vectors (item BIGINT, encoder TEXT, row BIGINT, sha256 TEXT);  -- sha256: the content that was encoded
CREATE TABLE blocks (encoder TEXT, first BIGINT, rows BIGINT, sha256 TEXT);  -- checksums of runs of rows of the vector file, without gaps
CREATE TABLE failures (path TEXT, reason TEXT, seen_at TIMESTAMP);
CREATE TABLE indexes (
    encoder TEXT, generation BIGINT,
    file TEXT,            -- its name in the folder indexes
    vectors TEXT,         -- name of the vector file that it covers
    rows BIGINT,          -- how many of its first rows
    bytes BIGINT, sha256 TEXT,
    card TEXT,            -- JSON: kind, settings, measured recall
    built_at TIMESTAMP
);
CREATE TABLE classifiers (
    name TEXT,            -- also the name of the column that it fills
    encoder TEXT, method TEXT,
    card TEXT,            -- JSON: classes, temperature, measured figures
    weights BLOB,         -- little-endian float32, C order, (D + 1, C): the weights, then the bias
    sha256 TEXT,          -- of the card and the weights
    trained_at TIMESTAMP,
    applied_at TIMESTAMP  -- when its columns were last filled; NULL: never
);
CREATE TABLE label_history (
    change BIGINT,        -- what was set together has one number
    command TEXT, made_at TIMESTAMP,
    item BIGINT,
    label TEXT, labels TEXT[], label_source TEXT, labelled_by TEXT, labelled_at TIMESTAMP, split TEXT, split_source TEXT  -- before the change
);
CREATE TABLE deleted (path TEXT, sha256 TEXT, deleted_at TIMESTAMP);  -- what `index` passes over; no path: forgotten
CREATE TABLE sources (path TEXT, added_at TIMESTAMP, exclude TEXT[]);  -- what `index` was given, and what it leaves out
CREATE TABLE written_columns (name TEXT, command TEXT);  -- columns of all_items that a command wrote; others are the user's
CREATE TABLE settings (name TEXT, value TEXT);  -- JSON: what users have settled for this store, such as keys of the gallery
INSERT INTO meta VALUES ({SCHEMA_VERSION}, 1, NULL);
"""

# The columns of each table with DuckDB's names of their types.
COLUMNS = {
    table: {name: kind.replace("TEXT", "VARCHAR") for name, kind in (column.split() for column in columns.split(","))}
    for table, columns in re.findall(r"CREATE TABLE (\w+) \((.*?)\);", re.sub("--.*", "", SCHEMA), re.DOTALL)
}
TABLES = tuple(COLUMNS)
OWN = tuple(COLUMNS["all_items"])  # our columns of all_items; every other one belongs to the user
# Names that no column of a user may have: ours, DuckDB's for a row's place, and one that export-vectors writes.
RESERVED = {*OWN, "rowid", "vector"}

# From version n to n + 1. A migration runs on a copy without a name, so it may fail at any line.
MIGRATIONS = {
    1: """
    ALTER TABLE encoders ADD COLUMN file TEXT;
    UPDATE encoders SET file = fingerprint[:16] || '.f16';
    CREATE TABLE blocks (encoder TEXT, first BIGINT, rows BIGINT, sha256 TEXT);
    UPDATE meta SET schema_version = 2;
    """,
    2: """
    CREATE TABLE indexes (
        encoder TEXT, generation BIGINT, file TEXT, vectors TEXT, rows BIGINT, bytes BIGINT, sha256 TEXT, card TEXT, built_at TIMESTAMP
    );
    UPDATE meta SET schema_version = 3;
    """,
    3: """
    CREATE TABLE classifiers (
        name TEXT, encoder TEXT, method TEXT, card TEXT, weights BLOB, sha256 TEXT, trained_at TIMESTAMP, applied_at TIMESTAMP
    );
    UPDATE meta SET schema_version = 4;
    """,
    4: """
    ALTER TABLE all_items ADD COLUMN label_source TEXT;
    ALTER TABLE all_items ADD COLUMN split_source TEXT;
    CREATE OR REPLACE VIEW items AS SELECT * EXCLUDE (removed_at) FROM all_items WHERE removed_at IS NULL;
    CREATE TABLE label_history (
        change BIGINT, command TEXT, made_at TIMESTAMP, item BIGINT, label TEXT, label_source TEXT, split TEXT, split_source TEXT
    );
    CREATE TABLE deleted (path TEXT, sha256 TEXT, deleted_at TIMESTAMP);
    CREATE TABLE sources (path TEXT, added_at TIMESTAMP);
    ALTER TABLE meta ADD COLUMN default_encoder TEXT;
    UPDATE meta SET schema_version = 5;
    """,
    5: """
    ALTER TABLE all_items ADD COLUMN labels TEXT[];
    ALTER TABLE label_history ADD COLUMN labels TEXT[];
    ALTER TABLE sources ADD COLUMN exclude TEXT[];
    CREATE OR REPLACE VIEW items AS SELECT * EXCLUDE (removed_at) FROM all_items WHERE removed_at IS NULL;
    UPDATE meta SET schema_version = 6;
    """,
    6: """
    ALTER TABLE all_items ADD COLUMN brightness DOUBLE;
    ALTER TABLE all_items ADD COLUMN contrast DOUBLE;
    ALTER TABLE all_items ADD COLUMN sharpness DOUBLE;
    ALTER TABLE all_items ADD COLUMN colourfulness DOUBLE;
    CREATE OR REPLACE VIEW items AS SELECT * EXCLUDE (removed_at) FROM all_items WHERE removed_at IS NULL;
    UPDATE meta SET schema_version = 7;
    """,
    7: """
    CREATE TABLE written_columns (name TEXT, command TEXT);
    ALTER TABLE all_items ADD COLUMN labelled_by TEXT;
    ALTER TABLE all_items ADD COLUMN labelled_at TIMESTAMP;
    ALTER TABLE label_history ADD COLUMN labelled_by TEXT;
    ALTER TABLE label_history ADD COLUMN labelled_at TIMESTAMP;
    CREATE OR REPLACE VIEW items AS SELECT * EXCLUDE (removed_at) FROM all_items WHERE removed_at IS NULL;
    UPDATE meta SET schema_version = 8;
    """,
    8: """
    CREATE TABLE settings (name TEXT, value TEXT);
    UPDATE meta SET schema_version = 9;
    """,
}


def version_by_tables(columns: Mapping[str, Mapping[str, str]]) -> int:
    """Tell by the columns of each table, with their types, which version of our columns of all_items a catalog has; before 5 all are 4.

    For catalogs whose row that states the version cannot be read.
    """
    history, items = columns.get("label_history"), columns.get("all_items", {})
    if history is None:
        return 4
    if "labels" not in history:
        return 5
    if "settings" in columns:
        return 9
    if "written_columns" in columns:
        return 8
    return 7 if all(items.get(name) == COLUMNS["all_items"][name] for name in QUALITY) else 6

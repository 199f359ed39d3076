"""The tables, and the numbered steps from older ones to them."""

SCHEMA_VERSION = 4
CHECKSUMS_SINCE = 2  # the version that has them
TABLES = ("meta", "all_items", "encoders", "vectors", "blocks", "failures", "indexes", "classifiers")
OWN = ("id", "path", "label", "split", "width", "height", "bytes", "mtime_ns", "sha256", "added_at", "removed_at")
# columns of all_items; any other one is the user's
RESERVED = {
    *OWN,
    "rowid",
    "vector",
}  # names that no column of a user has: ours, DuckDB's for a row's place, and one of export-vectors

ITEMS = "CREATE OR REPLACE VIEW items AS SELECT * EXCLUDE (removed_at) FROM all_items WHERE removed_at IS NULL;"
# to be run again when a column comes or goes: a view keeps the columns that its star meant

SCHEMA = f"""
CREATE TABLE meta (schema_version INTEGER, next_item BIGINT);
CREATE TABLE all_items (
    id BIGINT,            -- never reused
    path TEXT,            -- absolute, a URL, or CONTAINER::MEMBER; one item a path
    label TEXT, split TEXT,
    width INTEGER, height INTEGER,
    bytes BIGINT, mtime_ns BIGINT, sha256 TEXT,
    added_at TIMESTAMP,
    removed_at TIMESTAMP  -- set when the file vanished or can no longer be read
);
{ITEMS}
CREATE TABLE encoders (
    fingerprint TEXT, name TEXT, dim INTEGER,
    rows BIGINT,          -- of its vector file that count
    card TEXT, added_at TIMESTAMP,
    file TEXT             -- name of its vector file
);
CREATE TABLE vectors (item BIGINT, encoder TEXT, row BIGINT, sha256 TEXT);  -- sha256: the content that was encoded
CREATE TABLE blocks (encoder TEXT, first BIGINT, rows BIGINT, sha256 TEXT);  -- of the vector file, without gaps
CREATE TABLE failures (path TEXT, reason TEXT, seen_at TIMESTAMP);
CREATE TABLE indexes (
    encoder TEXT, generation BIGINT,
    file TEXT,            -- its name in the folder indexes
    vectors TEXT,         -- name of the vector file that it covers
    rows BIGINT,          -- the first so many of that
    bytes BIGINT, sha256 TEXT,
    card TEXT,            -- JSON: kind, settings, measured recall
    built_at TIMESTAMP
);
CREATE TABLE classifiers (
    name TEXT,            -- also of the column that it fills
    encoder TEXT, method TEXT,
    card TEXT,            -- JSON: classes, temperature, measured figures
    weights BLOB,         -- little-endian float32, C order, (D + 1, C): what the vector is multiplied by, then what is added
    sha256 TEXT,          -- of the card and the weights
    trained_at TIMESTAMP,
    applied_at TIMESTAMP  -- when its columns were last filled; NULL: they are not its own
);
INSERT INTO meta VALUES ({SCHEMA_VERSION}, 1);
"""

# What leads from version n to n + 1. A step runs on a copy that has no name yet, so it may fail at any line.
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
}

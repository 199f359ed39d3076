"""Rules that the rows of a catalog keep, and how rows that contradict each other are made to agree."""

from collections.abc import Iterator
from dataclasses import dataclass

from featurestore.catalog.engine import Connection
from featurestore.catalog.values import MOST

NAMELESS = "FROM all_items WHERE id IS NULL OR path IS NULL"
USABLE_INDEX = """EXISTS (SELECT 1 FROM encoders e WHERE e.fingerprint = x.encoder AND e.file = x.vectors AND x.rows BETWEEN 1 AND e.rows)
    AND coalesce(regexp_full_match(x.file, x.encoder[:16] || '-[0-9]+[.]faiss') AND json_valid(x.card), false)
    AND NOT EXISTS (SELECT 1 FROM indexes o WHERE o.encoder = x.encoder AND o.rowid <> x.rowid)"""
USABLE_CLASSIFIER = """coalesce(sha256(encode(c.card) || c.weights) = c.sha256, false)
    AND NOT EXISTS (SELECT 1 FROM classifiers o WHERE lower(o.name) = lower(c.name) AND o.rowid < c.rowid)"""

ITEMLESS = "item IS NULL OR item NOT IN (SELECT id FROM all_items WHERE id IS NOT NULL)"
LARGEST_ID = MOST // 2  # so that the counter behind it is a value that may be there
ODD_ID = f"id NOT BETWEEN 1 AND {LARGEST_ID}"
CARD_DIM = f"TRY_CAST(json_extract_string(card, '$.dim') AS BIGINT) BETWEEN 1 AND {2**31 - 1} AND json_extract_string(card, '$.dim')::BIGINT <> dim"


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition on the rows: how to count violations, and how to repair them."""

    broken: str  # in words, after the number of violations
    count: str  # SQL
    repair: str  # SQL


RULES = (
    Rule("items have no id or no path; they are deleted", f"SELECT count(*) {NAMELESS}", f"DELETE {NAMELESS}"),
    Rule(
        "items have the path of another item; the oldest of each path stays",
        "SELECT count(path) - count(DISTINCT path) FROM all_items",
        "DELETE FROM all_items a WHERE EXISTS (SELECT 1 FROM all_items b WHERE b.path = a.path AND (b.id, b.rowid) < (a.id, a.rowid))",
    ),
    Rule(
        "items have an id that is never given; they get new ids",
        f"SELECT count(*) FROM all_items WHERE {ODD_ID}",
        f"""CREATE OR REPLACE TEMP TABLE renamed AS
               SELECT id AS old, last + row_number() OVER (ORDER BY id) AS id
               FROM (SELECT DISTINCT id FROM all_items WHERE {ODD_ID}),
                   (SELECT greatest(max(id) FILTER (NOT {ODD_ID}), least(max(next_item), {LARGEST_ID // 2})) AS last FROM all_items, meta);
           UPDATE vectors SET item = renamed.id FROM renamed WHERE item = old;
           UPDATE label_history SET item = renamed.id FROM renamed WHERE item = old;
           UPDATE all_items SET id = renamed.id FROM renamed WHERE all_items.id = old""",
    ),
    Rule(
        "items have the id of another item; they get new ids and are encoded again",
        "SELECT count(id) - count(DISTINCT id) FROM all_items",
        """DELETE FROM vectors WHERE item IN (SELECT id FROM all_items GROUP BY id HAVING count(*) > 1);
           UPDATE all_items SET id = renamed.id FROM (
               SELECT rowid AS place, row_number() OVER (ORDER BY rowid) + (SELECT greatest(max(id), max(next_item)) FROM all_items, meta) AS id
               FROM all_items QUALIFY row_number() OVER (PARTITION BY id ORDER BY rowid) > 1) renamed
           WHERE all_items.rowid = renamed.place""",
    ),
    Rule(
        "catalog would use an id twice; the counter is set behind the last id",
        "SELECT count(*) FROM meta WHERE next_item <= (SELECT coalesce(max(id), 0) FROM all_items)",
        "UPDATE meta SET next_item = (SELECT max(id) + 1 FROM all_items)",
    ),
    Rule(
        "encoders are listed twice; one of each stays",
        "SELECT count(*) - count(DISTINCT fingerprint) FROM encoders",
        "DELETE FROM encoders e WHERE EXISTS (SELECT 1 FROM encoders o WHERE o.fingerprint = e.fingerprint AND o.rowid < e.rowid)",
    ),
    Rule(
        "encoders have vectors of another length than their card says; that of the card is taken",
        f"SELECT count(*) FROM encoders WHERE {CARD_DIM}",
        f"UPDATE encoders SET dim = json_extract_string(card, '$.dim')::INTEGER WHERE {CARD_DIM}",
    ),
    Rule(
        "vectors belong to no item; their links are deleted",
        f"SELECT count(*) FROM vectors WHERE {ITEMLESS}",
        f"DELETE FROM vectors WHERE {ITEMLESS}",
    ),
    Rule(
        "vectors belong to no encoder, or to a row that the encoder's file does not have; their items are encoded again",
        "SELECT count(*) FROM vectors v LEFT JOIN encoders e ON e.fingerprint = v.encoder WHERE NOT coalesce(v.row BETWEEN 0 AND e.rows - 1, FALSE)",
        "DELETE FROM vectors v WHERE NOT EXISTS (SELECT 1 FROM encoders e WHERE e.fingerprint = v.encoder AND v.row BETWEEN 0 AND e.rows - 1)",
    ),
    Rule(
        "rows belong to several items; these items are encoded again",
        "SELECT count(*) FROM (SELECT 1 FROM vectors GROUP BY encoder, row HAVING count(*) > 1)",
        "DELETE FROM vectors WHERE (encoder, row) IN (SELECT (encoder, row) FROM vectors GROUP BY encoder, row HAVING count(*) > 1)",
    ),
    Rule(
        "items have several vectors of one encoder; they are encoded again",
        "SELECT count(*) FROM (SELECT 1 FROM vectors GROUP BY encoder, item HAVING count(*) > 1)",
        "DELETE FROM vectors WHERE (encoder, item) IN (SELECT (encoder, item) FROM vectors GROUP BY encoder, item HAVING count(*) > 1)",
    ),
    Rule(
        "indexes belong to no encoder, to another vector file, or to more rows than the file has; they are dropped until the next optimize",
        f"SELECT count(*) FROM indexes x WHERE NOT ({USABLE_INDEX})",
        f"DELETE FROM indexes x WHERE NOT ({USABLE_INDEX})",
    ),
    Rule(
        "classifiers do not match their checksum, or have the name of another one; they are dropped, so train them again",
        f"SELECT count(*) FROM classifiers c WHERE NOT ({USABLE_CLASSIFIER})",
        f"DELETE FROM classifiers c WHERE NOT ({USABLE_CLASSIFIER})",
    ),
)


def violations(connection: Connection) -> Iterator[tuple[str, Rule]]:
    """Give the rules that do not hold: in words, and the rule."""
    for rule in RULES:
        (count,) = connection.execute(rule.count).fetchall()[0]
        if count:
            yield f"{count} {rule.broken}", rule

"""Classifiers that a store keeps, and the columns that they fill, each function within its caller's connection."""

import hashlib
import json

import pyarrow as pa

from featurestore.catalog.columns import add_columns, quoted_name, set_values, user_columns
from featurestore.catalog.connection import Connection
from featurestore.catalog.records import ClassifierRecord
from featurestore.errors import QueryError


def classifiers(connection: Connection) -> list[ClassifierRecord]:
    """All classifiers of the store, by name."""
    found = connection.execute(
        "SELECT name, encoder, method, card, weights, sha256, trained_at, applied_at FROM classifiers ORDER BY name"
    )
    return [ClassifierRecord.read(*row) for row in found.fetchall()]


def put_classifier(connection: Connection, record: ClassifierRecord) -> None:
    """Keep a classifier, in the place of one of that name; the columns that that one filled are its own then."""
    card = json.dumps(record.card, sort_keys=True)
    seal = hashlib.sha256(card.encode() + record.weights).hexdigest()
    former = "FROM classifiers WHERE lower(name) = lower(?)"
    [(applied_at,)] = connection.execute(f"SELECT max(applied_at) {former}", [record.name]).fetchall()
    connection.execute(f"DELETE {former}", [record.name])
    connection.execute(
        """INSERT INTO classifiers (name, encoder, method, card, weights, sha256, trained_at, applied_at)
           VALUES (?, ?, ?, ?, ?, ?, now()::TIMESTAMP, ?)""",
        [record.name, record.encoder, record.method, card, record.weights, seal, applied_at],
    )


def drop_classifier(connection: Connection, name: str) -> tuple[str, ...]:
    """Forget a classifier; returns the columns that it filled, which stay. Raises QueryError when there is none of that name."""
    found = named(classifiers(connection), name)
    connection.execute("DELETE FROM classifiers WHERE name = ?", [found.name])
    return found.columns if found.applied_at is not None else ()


def named(held: list[ClassifierRecord], name: str) -> ClassifierRecord:
    """Find a classifier by its name. Raises QueryError when there is none."""
    found = [record for record in held if record.name.lower() == name.lower()]
    if not found:
        raise QueryError(
            f"classifier {name!r}: the store has {', '.join(repr(record.name) for record in held) or 'none'}; "
            "train one first: featurestore classify STORE --train --name NAME"
        )
    return found[0]


def fill(connection: Connection, record: ClassifierRecord, rows: pa.RecordBatchReader, everywhere: bool) -> None:
    """Set the two columns of a classifier: rows hold the id of an item, a label and a confidence, and no id twice.

    everywhere: items without a row lose what the columns said of them.
    """
    names = record.columns
    add_columns(connection, pa.schema(zip(names, rows.schema.types[1:], strict=True)))
    if everywhere:
        emptied = ", ".join(f"{quoted_name(name)} = NULL" for name in names)
        connection.execute(f"UPDATE all_items SET {emptied} WHERE {quoted_name(names[0])} IS NOT NULL")
    set_values(connection, names, rows)
    connection.execute("UPDATE classifiers SET applied_at = now()::TIMESTAMP WHERE name = ?", [record.name])


def check_columns(connection: Connection, name: str) -> None:
    """Raise QueryError when a classifier of that name would write into columns that are not its own."""
    wanted = {column.lower() for column in ClassifierRecord.columns_of(name)}
    held = classifiers(connection)
    for other in held:
        shared = wanted.intersection(column.lower() for column in other.columns)
        if shared and other.name.lower() != name.lower():
            raise QueryError(
                f"classifier {name!r}: it would fill the column {min(shared)!r}, as the classifier {other.name!r} does; choose another name"
            )
    if any(record.name.lower() == name.lower() and record.applied_at is not None for record in held):
        return  # the columns came from it
    taken = [column for column in user_columns(connection) if column.lower() in wanted]
    if taken:
        raise QueryError(
            f"classifier {name!r}: it would fill {' and '.join(map(repr, taken))}, which the items have already; choose another name, "
            f"or take that away first: featurestore annotate STORE {' '.join(f'--drop {column}' for column in taken)}"
        )

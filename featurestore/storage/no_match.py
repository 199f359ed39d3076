"""What to tell a user whose `where` matches no item: which values there are."""

from featurestore.catalog import Catalog, EncoderRecord
from featurestore.catalog.items import ColumnValues
from featurestore.catalog.sql_process import named_columns
from featurestore.system.text import counted

SHOWN = 8  # values of a column


def describe_no_match(catalog: Catalog, where: str, encoder: EncoderRecord) -> str:
    """Say on one line that no item of an encoder matches a `where`, and which values the columns in it have.

    Raises QueryError when `where` is not one SQL expression.
    """
    matching = len(catalog.items.select(where))
    if matching:
        return (
            f"where {where!r}: {counted(matching, 'matching item')}, none with a vector of {encoder.name}; "
            "to encode them: featurestore index STORE --encoder encoder.onnx"
        )
    columns = catalog.items.values(named_columns(where), SHOWN)
    there = [f"{name}: {_describe(values)}" for name, values in columns.items()]
    return "; ".join([f"where {where!r}: 0 of {catalog.items.count()} items match", *there])


def _describe(values: ColumnValues) -> str:
    if values.distinct == 0:
        return "no item has a value"
    repeated = max(values.frequent.values()) > 1
    if values.type != "VARCHAR" and values.distinct > 1 and not (repeated and values.distinct <= SHOWN):
        return f"from {values.least} to {values.greatest}"
    if not repeated and values.distinct > SHOWN:  # such as paths
        return f"{values.distinct} values, such as {values.least}"
    shown = ", ".join(f"{value} {count}" for value, count in values.frequent.items())
    more = values.distinct - len(values.frequent)
    return f"{shown} and {more} more" if more else shown

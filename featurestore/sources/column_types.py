"""Types of the columns of items, and whether the values of a file fit into them."""

import pyarrow as pa

NATURAL = (  # what the text of a CSV file is tried as, in this order
    pa.int64(), pa.float64(), pa.bool_(), pa.date32(), pa.timestamp("us"), pa.timestamp("us", "UTC"), pa.string(),
)  # fmt: skip
PADDED = r"^-?0[0-9xX]"  # 007 is a name, not a number
LONG = r"^-?[0-9]{16,}$"  # a float would round it


def words(kind: pa.DataType) -> str:
    """Describe a type in words."""
    if pa.types.is_timestamp(kind):
        return "timestamps with a time zone" if kind.tz else "timestamps"
    for is_one, plural in (
        (pa.types.is_integer, "whole numbers"),
        (_is_number, "numbers"),
        (pa.types.is_boolean, "true and false"),
        (pa.types.is_date, "dates"),
        (pa.types.is_string, "text"),
    ):
        if is_one(kind):
            return plural
    return str(kind)


def storable(kind: pa.DataType) -> pa.DataType | None:
    """Return the type that stores values of a Parquet file: of numbers, text, booleans, dates and timestamps; None for others."""
    if pa.types.is_dictionary(kind):
        return storable(kind.value_type)
    if pa.types.is_null(kind) or is_text(kind):
        return pa.string()
    if pa.types.is_float16(kind):
        return pa.float32()
    if pa.types.is_date(kind):
        return pa.date32()
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz and "UTC")
    if pa.types.is_decimal(kind):
        return kind if kind.bit_width <= 128 and 0 <= kind.scale <= kind.precision else None
    return kind if _is_number(kind) or pa.types.is_boolean(kind) else None


def is_text(kind: pa.DataType) -> bool:
    """Return whether a type is one of Arrow's three for text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def as_type(values: pa.Array, kind: pa.DataType) -> pa.Array:
    """Cast values to a type; NaN becomes null. Raises ArrowInvalid when they do not fit."""
    safe = not pa.types.is_timestamp(kind)  # nanoseconds are dropped: Python's datetime cannot hold them
    return _without_nan(_without_nan(values).cast(kind, safe=safe))


def _without_nan(values: pa.Array) -> pa.Array:
    """Turn NaN into null: in SQL, NaN is larger than any number."""
    import pyarrow.compute as pc  # slow to import, and most commands do without

    if not pa.types.is_floating(values.type):
        return values
    return pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)


def reads_as(text: pa.Array, kind: pa.DataType) -> bool:
    """Return whether all texts of a CSV file can be read as values of a type."""
    if pa.types.is_string(kind):
        return True
    if _is_number(kind) and _any(text, PADDED):
        return False
    if pa.types.is_floating(kind) and _any(text, LONG):
        return False
    try:
        text.cast(kind)
    except pa.ArrowException:
        return False
    return True


def holds(kind: pa.DataType, values: pa.Array) -> bool:
    """Return whether a type holds values of a Parquet file exactly: numbers as numbers, dates as timestamps, others only as their own type."""
    own = storable(values.type)
    if own is None or own == kind:
        return own is not None
    if _family(own) != _family(kind):
        return False
    exact = as_type(values, own)
    try:
        return bool(exact.cast(kind).cast(own).equals(exact))
    except pa.ArrowException:
        return False


def _any(text: pa.Array, pattern: str) -> bool:
    import pyarrow.compute as pc

    return bool(pc.any(pc.match_substring_regex(text, pattern)).as_py())


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _family(kind: pa.DataType) -> str:
    """Return the family of a type; types of one family may hold each other's values."""
    if _is_number(kind):
        return "number"
    if pa.types.is_date(kind) or (pa.types.is_timestamp(kind) and kind.tz is None):
        return "time"
    return str(kind)

"""The user's `where`: one SQL expression over the columns of items, checked on its syntax tree before it runs."""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import duckdb

from featurestore.catalog.engine import SETTINGS, Connection, Settings
from featurestore.errors import QueryError

GUARDED: Settings = {
    **SETTINGS,
    "memory_limit": "1GB",
    "max_temp_directory_size": "0B",  # nothing is written that does not fit into memory
    "enable_external_access": "false",
    "lock_configuration": "true",
}
EXPECTED = "expected one expression over the columns of items, such as label = 'rose' AND width > 100"
TOO_LARGE = "it needs more memory than it may have; write it shorter"
LONGEST = 100_000  # characters of SQL
DEEPEST = 200  # levels of an expression
SHORT = 1_000  # characters that every parser reads at once: the time of DuckDB's grows with a power of the length
DIGITS = 38  # of a number that DuckDB does not calculate digit by digit
SHOWN = 200  # characters of a long expression in a message
PARTS: dict[str, tuple[str, ...]] = {  # the harmless classes of nodes, and what to look at below them
    "CONJUNCTION": ("children",),
    "COMPARISON": ("left", "right"),
    "BETWEEN": ("input", "lower", "upper"),
    "OPERATOR": ("children",),
    "FUNCTION": (),
    "COLUMN_REF": (),
    "CONSTANT": (),
}
TESTS = ("OPERATOR_NOT", "OPERATOR_IS_NULL", "OPERATOR_IS_NOT_NULL")
LISTS = ("COMPARE_IN", "COMPARE_NOT_IN")
PATTERNS = ("~~", "!~~")  # LIKE and NOT LIKE
CONSTANTS = ("STRING", "INTEGER", "NUMERIC", "BOOLEAN", "NULL_LITERAL")


def check_length(kind: str, text: str) -> None:
    """Raise QueryError when a user's SQL is longer than it may be."""
    if len(text) > LONGEST:
        raise QueryError(f"{kind} {shown(text)}: expected at most {LONGEST} characters, found {len(text)}; write less")


def shown(text: str) -> str:
    """Quote an expression for a message; of a long one the beginning."""
    return repr(text) if len(text) <= SHOWN else f"{text[:SHOWN]!r}…"


def parse(where: str) -> Any:
    """Give the syntax tree of an expression. Raises QueryError for anything else."""
    try:
        with _parser().cursor() as parser:
            text = f"SELECT 1 WHERE {where}\n"
            tree = json.loads(parser.execute("SELECT json_serialize_sql($1::TEXT)", [text]).fetchall()[0][0])
    except RecursionError as error:
        raise QueryError(f"where {shown(where)}: {_too_deep()}") from error
    except duckdb.OutOfMemoryException as error:
        raise QueryError(f"where {shown(where)}: {TOO_LARGE}") from error
    except (duckdb.Error, UnicodeError) as error:
        if isinstance(error, (duckdb.InternalException, duckdb.FatalException)):
            _parser.cache_clear()  # after such an error it answers nothing any more
        raise QueryError(f"where {shown(where)}: {error}; {EXPECTED}") from error
    if tree["error"]:
        problem = tree["error_message"]
        if "Failed to allocate" in problem:
            raise QueryError(f"where {shown(where)}: {TOO_LARGE}")
        deep = problem.startswith("Max expression depth")
        raise QueryError(f"where {shown(where)}: {_too_deep() if deep else f'{problem}; {EXPECTED}'}")
    statement = tree["statements"][0] if len(tree["statements"]) == 1 else {}
    node = statement.get("node", {})
    clauses = ("modifiers", "group_expressions", "group_sets", "having", "qualify", "sample")
    plain = (
        node.get("type") == "SELECT_NODE"
        and node.get("aggregate_handling") == "STANDARD_HANDLING"
        and not any(node.get(c) for c in clauses)
    )
    if not plain or not node.get("where_clause"):
        raise QueryError(f"where {shown(where)}: found more than an expression; {EXPECTED}")
    return node["where_clause"]


def column_names(tree: Any) -> list[str]:
    """List the columns that an expression names, each once, in its order."""
    return list(dict.fromkeys(node["column_names"][-1] for node in _nodes(tree) if node.get("class") == "COLUMN_REF"))


def is_harmless(tree: Any) -> bool:
    """Whether the form of an expression bounds its cost, for columns whose values are not long.

    It compares columns with constants, and combines that by AND, OR and NOT. It calculates nothing, so nothing can grow.
    """
    left = [tree]
    while left:
        node = left.pop()
        if not _is_harmless_node(node):
            return False
        for name in PARTS[node["class"]]:
            part = node[name]
            left.extend(part if isinstance(part, list) else [part])
    return True


def _is_harmless_node(node: Any) -> bool:
    match node["class"]:
        case "CONSTANT":
            kind, text = node["literal"]["kind"], node["literal"]["text"]
            return kind in CONSTANTS and (kind == "STRING" or len(text) <= DIGITS)
        case "COMPARISON":
            return _are_constants(node["left"]) or _are_constants(node["right"])
        case "BETWEEN":
            return _are_constants(node["lower"], node["upper"])
        case "OPERATOR":
            return node["type"] in TESTS or (node["type"] in LISTS and _are_constants(*node["children"][1:]))
        case "FUNCTION":
            return _is_simple_pattern(node)
    return node["class"] in PARTS


def _are_constants(*nodes: Any) -> bool:
    return all(node["class"] == "CONSTANT" for node in nodes)


def _is_simple_pattern(node: Any) -> bool:
    """Whether a node is LIKE on a column with a constant pattern that DuckDB searches for part by part.

    A pattern with `_` is tried at each place anew, so its time grows with a power of the length.
    """
    operands = [argument["expression"] for argument in node["arguments"]]
    return (
        node["function_name"] in PATTERNS
        and [operand["class"] for operand in operands] == ["COLUMN_REF", "CONSTANT"]
        and "_" not in operands[1]["literal"]["text"]
    )


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Give each object in a syntax tree, in the order of the text."""
    left = [tree]
    while left:
        part = left.pop()
        if isinstance(part, dict):
            yield part
            part = list(part.values())
        if isinstance(part, list):
            left.extend(reversed(part))


def _too_deep() -> str:
    return (
        f"expected at most {DEEPEST} levels of operators and functions, found more; write it flatter, such as with IN"
    )


@cache
def _parser() -> Connection:
    """A DuckDB without a file or threads, which parses SQL and runs none of it."""
    parser = duckdb.connect(config={**GUARDED, "lock_configuration": "false", "threads": 1})
    parser.execute(f"SET GLOBAL max_expression_depth = {DEEPEST}; SET lock_configuration = true")
    return parser

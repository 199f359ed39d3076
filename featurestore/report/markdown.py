"""The report as Markdown: its words and tables, without pictures."""

import re
from collections.abc import Iterator

from featurestore.report.blocks import Beside, Block, Cell, Drawn, Number, Origin, Table, Words, written
from featurestore.report.figures import Figures
from featurestore.report.sections import headline, key_figures, provenance, sections
from featurestore.system.text import printable

MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~&!])")  # what Markdown would take for more than a letter


def text_of(report: Figures) -> str:
    """Write the report of a store as Markdown."""
    facts: list[list[Cell]] = [[name, Number(value)] for name, value in (*key_figures(report), *provenance(report))]
    parts = [
        f"# {_text(report.store.removesuffix('.store'))}",
        *map(_text, headline(report)),
        _table(Table(("", ""), facts)),
    ]
    for section in sections(report):
        parts += [f"## {_text(section.title)}", *(part for block in section.blocks for part in _block(block))]
    return "\n\n".join(parts) + "\n"


def _block(block: Block) -> Iterator[str]:
    match block:
        case Words(words):
            yield _text(words)
        case Origin(parts):
            yield f"*{_text(', '.join(parts))}*"
        case Table():
            if block.behind is not None:
                yield f"{_text(block.behind)}:"
            yield _table(block)
        case Beside(left, right):
            for part in (*left, *right):
                yield from _block(part)
        case Drawn():
            pass


def _table(table: Table) -> str:
    right = [any(isinstance(row[at], (int, float, Number)) for row in table.rows) for at in range(len(table.heads))]
    lines = [list(map(_text, table.heads)), ["---:" if number else "---" for number in right]]
    lines += [[_text(written(cell)) for cell in row] for row in table.rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _text(value: str) -> str:
    return MARKUP.sub(r"\\\1", printable(value))

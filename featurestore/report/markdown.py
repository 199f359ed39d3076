"""The report as Markdown: its text and tables, without pictures."""

import re
from collections.abc import Iterator

from featurestore.rendering.html import LONGEST_VALUE
from featurestore.report.blocks import Block, Columns, Footnote, Graphic, Paragraph, Table, cell_text
from featurestore.report.lead import baseline_table, headline
from featurestore.report.sections import sections
from featurestore.report.values import ReportValues
from featurestore.system.text import printable, shortened

MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~&!$])")  # characters that Markdown would interpret


def markdown(report: ReportValues) -> str:
    """Write the report as Markdown."""
    parts = [f"# {_text(report.title)}", *map(_text, headline(report))]
    if (table := baseline_table(report)) is not None:
        parts.append(_table(table))
    for section in sections(report):
        parts += [f"## {_text(section.title)}", *(part for block in section.blocks for part in _block(block))]
    return "\n\n".join(parts) + "\n"


def _block(block: Block) -> Iterator[str]:
    match block:
        case Paragraph(words):
            yield _text(words)
        case Footnote(parts):
            yield f"*{_text(', '.join(parts))}*"
        case Table():
            if block.summary is not None:
                yield f"{_text(block.summary)}:"
            yield _table(block)
        case Columns(left, right):
            for part in (*left, *right):
                yield from _block(part)
        case Graphic():
            pass


def _table(table: Table) -> str:
    lines = [
        list(map(_text, table.heads)),
        ["---:" if table.is_number(column) else "---" for column in range(len(table.heads))],
        *([_text(cell_text(cell)) for cell in row] for row in table.rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _text(value: str) -> str:
    return MARKUP.sub(r"\\\1", shortened(printable(value), LONGEST_VALUE))

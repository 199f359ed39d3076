"""The report as one HTML file: all pictures, styles and the script inside, so that it opens anywhere and asks for nothing."""

import base64
import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

from featurestore.progress import Listener
from featurestore.rendering.html import PALETTE, SANS, text
from featurestore.report.blocks import DASH, Beside, Block, Cell, Drawn, Number, Origin, Section, Table, Words, written
from featurestore.report.figures import Figures, Item
from featurestore.report.pictures import Pictures
from featurestore.report.sections import headline, key_figures, provenance, sections


def page(report: Figures, listener: Listener) -> str:
    """Write the report of a store as HTML; pictures that cannot be opened leave a grey tile."""
    pictures = Pictures.of(_large(report), report.map.items if report.map else (), listener)
    parts = sections(report)
    script = _file("page.js")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src '{_hash(script)}'">
<title>{text(report.title)} {DASH} report</title>
<style>
{PALETTE}{_file("page.css").replace("SANS", SANS)}</style>
</head>
<body>
{_header(report)}
<nav aria-label="contents"><ol>{"".join(f'<li><a href="#{part.name}">{text(part.title)}</a></li>' for part in parts)}</ol></nav>
<main>
{"".join(_section(part, pictures) for part in parts)}</main>
<footer><p>{text(_made(report))}</p></footer>
<script>{script}</script>
</body>
</html>
"""


@cache
def _file(name: str) -> str:
    return files("featurestore.report").joinpath(name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    """What a browser knows the one script by that it may run."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode('ascii')}"


def _large(report: Figures) -> Iterator[Item]:
    """The items whose pictures stand in the page by themselves."""
    yield from report.collection.mosaic
    for sheet in report.sheets:
        yield sheet.query
        yield from (neighbour.item for neighbour in sheet.neighbours)
    for examples in (*report.classes.best, *report.classes.worst) if report.classes else ():
        for example in (*examples.right, *examples.wrong):
            yield example.item
            yield from (neighbour.item for neighbour in example.neighbours)


def _header(report: Figures) -> str:
    figures = "".join(f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>" for name, value in key_figures(report))
    facts = "".join(f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>" for name, value in provenance(report))
    sentences = "".join(f"<p>{_unbroken(sentence)}</p>" for sentence in headline(report))
    return f"""<header>
<p class="kind">Report of an image collection</p>
<h1>{text(report.title)}</h1>
<div class="lead">{sentences}</div>
<dl class="figures">{figures}</dl>
<dl class="facts">{facts}</dl>
</header>"""


def _made(report: Figures) -> str:
    return f"Made by featurestore {report.version}, {report.made_at[:16].replace('T', ' ')}. One file: it asks for nothing from elsewhere."


def _section(section: Section, pictures: Pictures) -> str:
    inside = "\n".join(_block(block, pictures) for block in section.blocks)
    return f'<section id="{section.name}">\n<h2>{text(section.title)}</h2>\n{inside}\n</section>\n'


def _block(block: Block, pictures: Pictures) -> str:
    match block:
        case Words(words):
            return f"<p>{_unbroken(words)}</p>"
        case Origin(parts):
            return f'<p class="origin">{" · ".join(map(text, parts))}</p>'
        case Table(behind=None):
            return _table(block)
        case Table(behind=name):
            return f"<details><summary>{text(name)}</summary>{_table(block)}</details>"
        case Drawn(draw):
            return draw(pictures)
        case Beside(left, right):
            sides = [side for side in (left, right) if side]
            columns = (f"<div>{''.join(_block(part, pictures) for part in side)}</div>" for side in sides)
            return f'<div class="beside">{"".join(columns)}</div>'


def _unbroken(words: str) -> str:
    """Text that keeps numbers and their signs on one line."""
    return text(words).replace(" %", "&nbsp;%").replace("± ", "±&nbsp;")


def _table(table: Table) -> str:
    """A table that scrolls by itself where it is wider than the page; numbers stand to the right, or behind their bars."""
    columns = list(zip(*table.rows, strict=True)) or [()] * len(table.heads)
    kinds = ["number" if any(isinstance(v, (int, float, Number)) for v in column) else "words" for column in columns]
    most = 1.0
    if table.bars:
        kinds[-1] = "bar"
        most = max(value for value in columns[-1] if isinstance(value, (int, float)))

    def cell(value: Cell, kind: str) -> str:
        bar = (
            f'<span style="--share:{value / most:.3f}"></span>'
            if kind == "bar" and isinstance(value, (int, float))
            else ""
        )
        return f'<td class="{kind}">{bar}{text(written(value))}</td>'

    heads = "".join(
        f'<th scope="col" class="{kind}">{text(head)}</th>' for head, kind in zip(table.heads, kinds, strict=True)
    )
    wide = ' class="wide"' if table.bars else ""
    rows = "".join(f"<tr>{''.join(map(cell, row, kinds))}</tr>" for row in table.rows)
    return f'<div class="scroll"><table{wide}><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'

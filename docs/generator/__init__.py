"""Write the parts of docs/reference that follow from the code: `python -m docs.generator`, or `make docs`.

A page marks such a part by `<!-- generated: NAME -->` and `<!-- end -->`. What stands between the two is replaced; the rest is
written by hand.
"""

import re
from collections.abc import Callable
from pathlib import Path

from docs.generator.catalog import catalog
from docs.generator.commands import commands
from docs.generator.python import errors, python
from docs.generator.rest import rest
from docs.generator.settings import methods, settings

REFERENCE = Path(__file__).parents[1] / "reference"
PART = re.compile(r"(<!-- generated: ([a-z]+) -->\n).*?(<!-- end -->)", re.DOTALL)

PARTS: dict[str, Callable[[], str]] = {
    "commands": commands, "settings": settings, "methods": methods, "catalog": catalog, "errors": errors, "python": python,
    "rest": rest,
}  # fmt: skip


def render(text: str) -> str:
    """Fill every marked part of a page; raises KeyError for a name that no function below has."""
    return PART.sub(lambda found: f"{found[1]}\n{PARTS[found[2]]()}\n\n{found[3]}", text)


def main() -> None:
    """Rewrite the pages that have marked parts."""
    for page in sorted(REFERENCE.glob("*.md")):
        old = page.read_text(encoding="utf-8")
        new = render(old)
        if new != old:
            page.write_text(new, encoding="utf-8")
            print(page)

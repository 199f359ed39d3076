"""Markdown: tables, and text of docstrings in them."""

import inspect
import re
from collections.abc import Iterable


def table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Write a Markdown table."""
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def escape(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\b", "")


def first_sentence(doc: str | None) -> str:
    text = " ".join((doc or "").strip().split("\n\n")[0].split())
    return re.split(r"(?<=[a-z)\]`])\. (?=[A-Z])", text)[0].removesuffix(".")


def paragraphs(text: str) -> str:
    return "\n\n".join(escape(" ".join(p.split())) for p in inspect.cleandoc(text).split("\n\n") if p.strip("\b\n "))

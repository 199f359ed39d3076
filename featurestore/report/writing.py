"""The report of a store: its figures, and the forms that they are written in."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featurestore.errors import ConfigError
from featurestore.progress import Listener
from featurestore.report import Format
from featurestore.report.figures import Figures
from featurestore.report.markdown import text_of
from featurestore.report.page import page
from featurestore.system.disk import written_whole


@dataclass(frozen=True)
class Report:
    """What was gathered of a store, to be written and read."""

    figures: Figures

    def to_json(self) -> dict[str, Any]:
        return self.figures.to_json()

    def save(self, path: str | Path, format: Format | None = None, listener: Listener | None = None) -> Path:
        """Write the report, whole or not at all: html is one file with all pictures inside, md and json hold the figures.

        Without a format the suffix of `path` says it. Raises ConfigError when that says none, DiskError.
        """
        kind = format or Path(path).suffix.removeprefix(".")
        if kind not in WRITERS:
            raise ConfigError(
                f"report {str(path)!r}: expected a name that ends in .html, .md or .json, or one of html, md and json as --format"
            )
        content = WRITERS[kind](self.figures, listener or Listener())
        with written_whole(Path(path), f"expected a name such as report.{kind} in a folder that is there") as part:
            part.write_text(content, encoding="utf-8")
        return Path(path)


def _as_json(figures: Figures, listener: Listener) -> str:
    return json.dumps(figures.to_json(), indent=2, ensure_ascii=False) + "\n"


WRITERS: dict[str, Callable[[Figures, Listener], str]] = {
    "html": page,
    "md": lambda figures, _: text_of(figures),
    "json": _as_json,
}

"""A finished report, and the files it is written to."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featurestore.errors import ConfigError
from featurestore.progress import Listener
from featurestore.report import Format
from featurestore.report.markdown import markdown
from featurestore.report.page import page
from featurestore.report.values import ReportValues
from featurestore.system.disk import atomic_write


@dataclass(frozen=True)
class Report:
    """The values computed from a store, ready to be read or written."""

    figures: ReportValues

    def to_json(self) -> dict[str, Any]:
        return self.figures.to_json()

    def save(self, path: str | Path, format: Format | None = None, listener: Listener | None = None) -> Path:
        """Write the report completely or not at all: html is one file with all pictures inside, md and json hold the figures.

        Without a format the suffix of `path` decides. Raises ConfigError for another suffix, DiskError.
        """
        kind = format or Path(path).suffix.removeprefix(".")
        if kind not in WRITERS:
            raise ConfigError(
                f"report {str(path)!r}: expected a file name that ends in .html, .md or .json; rename it, or give --format html, md or json"
            )
        content = WRITERS[kind](self.figures, listener or Listener())
        with atomic_write(Path(path), f"expected a name such as report.{kind} in an existing folder") as file:
            file.write(content.encode())
        return Path(path)


WRITERS: dict[str, Callable[[ReportValues, Listener], str]] = {
    "html": page,
    "md": lambda values, _: markdown(values),
    "json": lambda values, _: json.dumps(values.to_json(), indent=2) + "\n",
}

"""Labels from a CSV file."""

import csv
import os
from dataclasses import dataclass
from pathlib import Path

from featurestore.errors import SourceError


@dataclass(frozen=True, slots=True)
class LabelLine:
    """One line: a path as it was written, the absolute paths it may mean, and what it says."""

    written: str
    meant: tuple[str, ...]  # likeliest first
    label: str | None  # None takes the label away
    split: str | None


@dataclass(frozen=True, slots=True)
class LabelFile:
    """The lines of a file, and whether it speaks of splits."""

    lines: list[LabelLine]
    has_splits: bool


def read(file: str | Path) -> LabelFile:
    """Read a CSV file with the columns path, label and perhaps split; raises SourceError when it is none.

    Paths are absolute, or relative to the CSV file's folder or else to the current one.
    """
    try:
        with Path(file).open(newline="", encoding="utf-8-sig") as handle:
            reader = csv.DictReader(handle)
            columns = set(reader.fieldnames or ())
            if not {"path", "label"} <= columns:
                raise SourceError(
                    f"{file}: expected a CSV file with the columns path,label and perhaps split; found {reader.fieldnames}"
                )
            folder = Path(file).parent
            lines = [
                LabelLine(
                    row["path"] or "", _meant(row["path"] or "", folder), row["label"] or None, row.get("split") or None
                )
                for row in reader
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(f"labels {str(file)!r}: expected a CSV file with the columns path,label; {error}") from error
    return LabelFile(lines, "split" in columns)


def _meant(path: str, folder: Path) -> tuple[str, ...]:
    """All absolute spellings: beside the CSV file or here, with the links of the folders as written or followed."""
    spelled = [os.path.abspath(base / path) for base in (folder, Path())]
    followed = [os.path.join(os.path.realpath(os.path.dirname(p)), os.path.basename(p)) for p in spelled]
    return tuple(dict.fromkeys([*spelled, *followed]))

"""Folders that `save_to_disk` of Hugging Face datasets writes, read without that library."""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from featurestore.errors import SourceError
from featurestore.sources.base import Failure, ImageFile, Source, as_split, unfit_name
from featurestore.sources.column_names import USUAL, ColumnNames
from featurestore.sources.containers import ContainerSource
from featurestore.system.text import describe_error

DICTIONARY, STATE, INFO = "dataset_dict.json", "state.json", "dataset_info.json"


def is_dataset(folder: str) -> bool:
    """Return whether `save_to_disk` of a Dataset or a DatasetDict wrote a folder."""
    names = (DICTIONARY,), (STATE, INFO)
    return any(all(os.path.isfile(os.path.join(folder, name)) for name in needed) for needed in names)


class SavedDataset(Source):
    """The rows of a saved Dataset, or of all splits of a DatasetDict. Raises SourceError when these are not images."""

    within_containers = True

    def __init__(self, folder: str, named: ColumnNames = USUAL) -> None:
        super().__init__()
        self.path = folder
        self._parts = [(split, ContainerSource(path, named)) for split, path in _files(folder)]
        self.label_hint = next((members.label_hint for _, members in self._parts if members.label_hint), "")
        self.labels_unclear = any(members.labels_unclear for _, members in self._parts)
        self.prefix = folder + os.sep

    def __iter__(self) -> Iterator[ImageFile | Failure]:
        for split, members in self._parts:
            for entry in members:
                if isinstance(entry, ImageFile) and (known := split or entry.split or self.own_split) != entry.split:
                    entry = replace(entry, split=known)
                yield entry
            self.labelled_by = self.labelled_by or members.labelled_by
        self.prefix = None if any(members.prefix is None for _, members in self._parts) else self.path + os.sep


def _files(folder: str) -> Iterator[tuple[str | None, str]]:
    """Yield the Arrow files of a folder in order, each with its split."""
    if os.path.isfile(os.path.join(folder, DICTIONARY)):
        for split in _names_in(os.path.join(folder, DICTIONARY), lambda record: record["splits"]):
            yield from ((as_split(split), path) for path in _arrow_files(os.path.join(folder, split)))
    else:
        yield from ((None, path) for path in _arrow_files(folder))


def _arrow_files(folder: str) -> Iterator[str]:
    names = _names_in(os.path.join(folder, STATE), lambda record: [file["filename"] for file in record["_data_files"]])
    return (os.path.join(folder, name) for name in names)


def _names_in(path: str, where: Callable[[Any], Iterable[str]]) -> list[str]:
    """Read names from a JSON file, which must be those of files beside it; `where` finds them in its record."""
    try:
        names = list(where(json.loads(Path(path).read_bytes())))
        for name in names:
            if os.path.basename(name) != name or name in ("", ".", "..") or unfit_name(name):
                raise ValueError(f"{name!r} where a file name belongs")
        return names
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise SourceError(
            f"{path!r}: expected what save_to_disk of Hugging Face datasets writes, found {describe_error(error)}; save the dataset again"
        ) from error

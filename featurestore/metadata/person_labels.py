"""Labels that persons give to items one by one: they count more than those of folders, files and classifiers."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import pyarrow as pa

from featurestore.catalog import GivenLabels, LabelChange, LabelledByPerson
from featurestore.errors import ConfigError
from featurestore.sources.base import as_label
from featurestore.sources.label_file import LONGEST
from featurestore.storage import Storage

LONGEST_NAME = 200  # characters of who labelled
ROWS = pa.schema([("id", pa.int64()), ("names", pa.list_(pa.string()))])


def given_labels(labels: Mapping[int, Sequence[str]], by: str | None, command: str) -> GivenLabels:
    """Check labels that a person gives to items now. Raises ConfigError for one that cannot be a label.

    labels: the names of all classes that an item, by its id, is to have; none removes those it has. Control characters and blanks around
    names are left out, as in files of labels. by: who.
    """
    names = {
        item: [_checked(name, f"labels of item {item}", LONGEST) for name in given] for item, given in labels.items()
    }
    rows = pa.table([list(names), list(names.values())], schema=ROWS)
    who = None if by is None else _checked(by, "by", LONGEST_NAME)
    return GivenLabels(rows, who, datetime.now(UTC).replace(tzinfo=None), command)


def set_by_persons(store: Storage, given: Sequence[GivenLabels]) -> list[LabelledByPerson]:
    """Set labels, each of the given ones as a change of its own, all in one transaction; beside another writer, if there is one.

    Raises StoreBusy, StoreUntrusted, StoreCorrupt, DiskError; then nothing has changed.
    """
    with store.holding_catalog():
        return store.catalog.labels.set_by_person(given)


def undo_change(store: Storage, change: int | None) -> LabelChange | None:
    """Undo one change of labels, or the last one; None when it is not there. Later changes stay. Raises as `set_by_persons`."""
    with store.holding_catalog():
        return store.catalog.labels.undo(change)


def _checked(text: str, place: str, longest: int) -> str:
    name = as_label(text)
    if name is None or len(name) > longest:
        found = "an empty text" if name is None else f"{len(name):,} characters"
        raise ConfigError(f"{place}: expected a name of 1 to {longest:,} characters, found {found}")
    return name

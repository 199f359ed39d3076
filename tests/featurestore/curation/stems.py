"""What is in groups and stores, by the names of files without suffix."""

from pathlib import Path

from featurestore import FeatureStore
from featurestore.curation import DuplicateGroup

PICTURES = 30  # of the store `pictures` of conftest.py, beside their copies
# All that a store with copies knows of its items, see `copied` of conftest.py.
KNOWN = "SELECT path, label, labels, split, width, sha256, week, note, day FROM items ORDER BY path"


def names(group: DuplicateGroup) -> list[str]:
    return [Path(item.path).stem for item in group.items]


def stems(store: FeatureStore) -> set[str]:
    return {Path(row["path"]).stem for row in store.sql("SELECT path FROM items").to_pylist()}

"""What the place of a source says about labels and splits: the names of its folder and file, and of those beside them."""

import os
import re
from collections.abc import Callable, Collection

from featurestore.sources import filesystem
from featurestore.sources.base import SPLIT_NAMES
from featurestore.sources.formats import suffix

SHARD = re.compile(r"[-_.]\d+(-of-\d+)?$")  # at the end of train-00000-of-00002

Names = Callable[[str, bool], list[str]]  # of the folders, or else of the files, in a folder


def place_folders(place: str, places: Collection[str], names: Names = filesystem.names_in) -> list[str]:
    """Return those names at the end of a source's folder that tell splits and labels, outermost first.

    They are the folder of a split, with the class folder below it when that is the source; or else the folder itself when another of
    `places`, the folders of all sources of a run, lies beside it. A name of a split alone says nothing: /tmp/test may be anything.
    """
    parent, name = os.path.split(place)
    above, parent_name = os.path.split(parent)
    if _is_split(name, lambda: names(parent, True)):
        return [name]
    if _is_split(parent_name, lambda: names(above, True)):
        return [parent_name, name]
    siblings = any(other != place and os.path.dirname(other) == parent for other in places)
    return [name] if siblings else []


def file_split(path: str, names: Names = filesystem.names_in) -> str | None:
    """Return the split that a file is named after, such as train.tar or test-00000-of-00001.parquet, None when no others stand beside it."""
    folder, name = os.path.split(path)
    kind = suffix(name)
    beside = lambda: [_stem(other) for other in names(folder, False) if suffix(other) == kind]  # noqa: E731
    return SPLIT_NAMES[_stem(name).lower()] if _is_split(_stem(name), beside) else None


def _is_split(name: str, beside: Callable[[], list[str]]) -> bool:
    """Return whether a name is that of a split, and those beside it are of train and of another one."""
    if name.lower() not in SPLIT_NAMES:
        return False
    splits = {SPLIT_NAMES.get(other.lower()) for other in beside()} - {None}
    return "train" in splits and len(splits) > 1


def _stem(name: str) -> str:
    return SHARD.sub("", name[: len(name) - len(suffix(name))])

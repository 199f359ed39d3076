"""What the program says of each collection on each road, word by word."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.featurestore.cases.collections import COLLECTIONS
from tests.featurestore.cases.roads import ROADS, TABLES

PAGE = "see docs/reference/inputs.md"
NO_LABELS = (
    "--labels folders: expected images in folders of their classes, such as SOURCE/<class>/<file> or SOURCE/train/<class>/<file>, or a table "
    "with a column label; found no label for 3 images of {source}; name the folder above the classes, or all class folders, or leave --labels out"
)
NO_COLUMN = (
    "labels were asked for, found none: {table} has no column of labels among {columns}; choose one with --label-column"
)
COLUMNS = {"paths": "file_name (string)"}
STRUCT = "image (struct<bytes: binary, path: string>)"


@dataclass(frozen=True)
class Said:
    """What `index` says of a collection; `<name>` stands for the path of an image."""

    counts: tuple[int, int] = (0, 0)  # added and failed
    found: str = ""
    classes: int = 2
    notes: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    error: str = ""


SAID = {
    "splits": Said((5, 0), "5 images: train 3, test 1, val 1; 2 classes; 5 labels found"),
    "flat": Said(error=NO_LABELS),
    "twelve bits": Said(
        (4, 0),
        "4 images; 2 classes; 4 labels found",
        notes=(f"4 of 4 images: 16 bits a channel, of which 12 are in use; scaled by these; {PAGE}",),
    ),
    "infrared": Said(
        (4, 0),
        "4 images; 2 classes; 4 labels found",
        notes=(f"4 of 4 images: 4 channels, of which the first 3 are read; {PAGE}",),
    ),
    "bands": Said(
        error="none of 2 files could be used; 2 files: 13 bands; say which to read, three or one, when the encoder is made: featurestore train "
        f"--bands 3,2,1 or featurestore export --bands 3,2,1; {PAGE}, the first <a/0.tif>; nothing was created"
    ),
    "infinite": Said(
        (2, 0),
        "2 images; 2 classes; 2 labels found",
        notes=(f"2 of 2 images: 32-bit floating point; scaled from 0 to 1; {PAGE}",),
    ),
    "one colour": Said(
        (2, 0),
        "2 images; 2 classes; 2 labels found",
        notes=(
            "one colour, or nearly, at the encoder's size: 2 of 2 images; they may be empty, damaged, or read in a wrong range "
            f"({PAGE}); the first: <a/0.png>, <b/1.png>",
        ),
    ),
    "broken": Said(
        (2, 3),
        "5 images; 2 classes; 5 labels found",
        failures=(
            "2 files: empty file (0 bytes), the first <a/empty.jpg>",
            "1 file: not an image, or of a format without a decoder here, <b/text.jpg>",
        ),
    ),
    "all broken": Said(
        error="none of 3 files could be used; 2 files: empty file (0 bytes), the first <a/empty.jpg>; 1 file: not an image, or of a format "
        "without a decoder here, <b/text.jpg>; nothing was created"
    ),
    "beside": Said(
        (2, 0),
        "2 images; 2 classes; 2 labels found",
        notes=("passed over: 1 video (.mp4), 2 hidden, 2 of the system, 1 other (.txt)",),
    ),
    "several": Said((3, 0), "3 images; 3 classes; 3 labels found", classes=3, error=NO_LABELS),
    "blanks": Said((3, 0), "3 images; 2 classes; 3 labels found", error=NO_LABELS),
}  # fmt: skip
BY_FOLDERS = ("folder", "list", "url")  # roads that know no labels but those of folders


@dataclass
class Case:
    """A collection, packed for a road."""

    name: str
    road: str
    place: Path

    def __post_init__(self) -> None:
        self.entries = COLLECTIONS[self.name]
        self.source = ROADS[self.road].make(self.place, self.entries)

    @property
    def error(self) -> str:
        """What it is refused with; nothing when it is not."""
        said = SAID[self.name]
        if said.error != NO_LABELS or self.road in BY_FOLDERS or (self.name == "flat" and self.road == "tar"):
            return self.with_paths(said.error).format(source=self.source) if said.error else ""
        if self.name != "flat":
            return ""
        table = self.source + "/data-00000-of-00001.arrow" * (self.road == "dataset")
        return NO_COLUMN.format(table=table, columns=COLUMNS.get(self.road, STRUCT))

    @property
    def notes(self) -> list[str]:
        """What is noted, in its order."""
        said = SAID[self.name]
        told = [] if self.name == "beside" and self.road not in ("folder", "tar", "url") else list(said.notes)
        return [said.found, *self._origin(), *map(self.with_paths, told)]

    def with_paths(self, text: str) -> str:
        """Put in the paths that images have on this road."""
        return re.sub("<([^<>]*[.](?:png|jpg|tif))>", lambda match: self.path(match[1]), text)

    def path(self, name: str) -> str:
        images = [entry.name for entry in self.entries if entry.is_image]
        row = images.index(name)
        return ROADS[self.road].path.format(source=self.source, place=self.place, name=name, row=row)

    def _origin(self) -> list[str]:
        """The line that says what gives the labels."""
        in_json = self.road == "tar" and any(entry.labels and "/" not in entry.name for entry in self.entries)
        if self.road not in TABLES and not in_json:
            return []
        column = "labels" if self.name == "several" else "label"
        return [f"labels: {ROADS[self.road].labelled_by.format(column=column)} ({SAID[self.name].classes} classes)"]


# Every collection by every road; the quick tests take all collections as folders, and one of them by all roads.
ALL = [
    pytest.param(
        (name, road),
        marks=[] if road == "folder" or name == "broken" else pytest.mark.slow,
        id=f"{name} by {road}",
    )
    for name in COLLECTIONS
    for road in ROADS
]

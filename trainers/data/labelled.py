"""Labelled images of a source: those to train a classifier on, those to test it on, and the names of the classes."""

import dataclasses
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from featurestore.errors import EvaluationError, SourceError
from featurestore.imaging.preprocess import Preprocess
from featurestore.metrics.splits import held_out
from featurestore.progress import Listener
from featurestore.sources import ImageFile
from featurestore.sources.base import as_labels, as_split
from featurestore.sources.column_names import USUAL, ColumnNames
from featurestore.sources.keyed_table import KeyedTable
from featurestore.sources.label_file import read_labels
from featurestore.sources.relative_paths import absolute_paths, below_sources, cleaned, resolved_paths
from featurestore.system.text import counted
from trainers.data import images as data
from trainers.data.listing import list_images

TEST_SHARE = 0.2  # held out where a source has no split test
TEST_SEED = 0  # the same fifth whatever the seed of a training, so that all seeds share one test set


@dataclass(frozen=True)
class LabelledFiles:
    """The labelled files of a source, by what a classifier does with them."""

    train: list[ImageFile]
    test: list[ImageFile]
    names: tuple[str, ...]  # the classes of the training images, sorted
    unseen: tuple[str, ...]  # classes of the test images alone, which no classifier can name
    split: str  # "train->test", or "held-out fifth" where the source has no split test
    notes: tuple[str, ...] = ()

    def codes(self, files: list[ImageFile]) -> NDArray[np.int64]:
        """Give the class of each file as its place in `names + unseen`: (N,)."""
        place = {name: i for i, name in enumerate((*self.names, *self.unseen))}
        return np.array([place[str(file.label)] for file in files], np.int64)


@dataclass(frozen=True)
class LabelledImages:
    """Decoded images with their classes."""

    pixels: Tensor  # uint8 (N, 3, size, size)
    codes: Tensor  # int64 (N,)
    places: NDArray[np.intp]  # (N,), in the list of files that they were read from

    def sha256(self) -> str:
        """Hash all pixels in order."""
        return hashlib.sha256(self.pixels.numpy().tobytes()).hexdigest()

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, rows: NDArray[np.bool_] | NDArray[np.intp] | slice) -> "LabelledImages":
        chosen = rows if isinstance(rows, slice) else torch.from_numpy(rows)
        return LabelledImages(self.pixels[chosen], self.codes[chosen], self.places[rows])


def list_labelled(source: str | Path, labels: str, label_column: str | None = None) -> LabelledFiles:
    """List the labelled images of a source; `labels` is "folders", or a CSV, JSON Lines or Parquet file with path, label and perhaps split.

    label_column: the column of labels in that file, or in a source that is a table, when it has no usual name. Images of the split val
    and of several labels are left out. Raises SourceError, and EvaluationError when there are fewer than two classes to learn
    or no image to test one of them.
    """
    columns = ColumnNames(label=label_column)
    files, unread, listing, _ = list_images(source, named=columns if labels == "folders" else USUAL)
    notes = [f"{counted(len(unread), 'place')} could not be read; {data.describe_failures(unread)}"] if unread else []
    if labels == "folders":
        listing.labels.check()
        notes += listing.labels.notes()
    else:
        table = read_labels(labels, "path", columns)
        files, told = _relabel(files, table, str(source))
        notes += [*table.notes, *told]
    several = sum(bool(file.labels) for file in files)
    if several:
        notes.append(f"left out: {counted(several, 'image')} with several labels")
    labelled = [file for file in files if file.label]
    if not labelled:
        raise EvaluationError(
            f"fine-tuning needs labels, found none for {len(files)} images of {source}; sort them into folders train/<class>/, or give "
            "--labels FILE.csv with the columns path,label"
        )
    train = [file for file in labelled if file.split in (None, "train")]
    test = [file for file in labelled if file.split == "test"]
    names = _classes(train)
    split = "train->test" if test else "held-out fifth"
    if not test:
        held = held_out(np.array([names.index(str(file.label)) for file in train]), TEST_SHARE, TEST_SEED)
        test = [file for file, out in zip(train, held, strict=True) if out]
        train = [file for file, out in zip(train, held, strict=True) if not out]
    unseen = _unseen(test, names)
    if unseen:
        notes.append(f"classes without a training image, whose test images always count as wrong: {', '.join(unseen)}")
    notes += [listing.passed_over.describe()] * bool(listing.passed_over.counts)
    return LabelledFiles(train, test, names, unseen, split, tuple(notes))


def _classes(train: list[ImageFile]) -> tuple[str, ...]:
    """Give the names of the classes of the training images, sorted. Raises EvaluationError for fewer than two."""
    names = tuple(sorted({str(file.label) for file in train}))
    if len(names) < 2:
        raise EvaluationError(
            f"expected labels of at least two classes, found {' and '.join(map(repr, names)) or 'none outside val and test'} "
            f"in {len(train)} training images; label some of another class"
        )
    return names


def _unseen(test: list[ImageFile], names: tuple[str, ...]) -> tuple[str, ...]:
    """Give the classes of the test images that are not in `names`. Raises EvaluationError when there are no others."""
    unseen = tuple(sorted({str(file.label) for file in test} - set(names)))
    if len(unseen) == len({file.label for file in test}):
        raise EvaluationError(
            f"expected test images of the classes {', '.join(names[:5])}{' …' if len(names) > 5 else ''}, found "
            + (
                f"only others ({', '.join(unseen[:5])}); use the same labels in both splits"
                if test
                else "none; label more images"
            )
        )
    return unseen


def _relabel(files: list[ImageFile], keyed: KeyedTable, source: str) -> tuple[list[ImageFile], list[str]]:
    """Replace labels and splits from folders by those of a table; also returns what to tell about its rows."""
    by_path = {file.path: file for file in files}
    relabelled: dict[str, ImageFile] = {}
    unknown: list[str] = []
    differing: list[str] = []
    for batch in keyed.rows.reader():
        columns = {
            name: column.to_pylist() for name, column in zip(("path", *keyed.names), batch.columns[1:], strict=True)
        }
        given = columns.get("labels") or [[label] for label in columns["label"]]
        for row, path in enumerate(columns["path"]):
            file = _find(path or "", by_path, keyed.path.parent, source)
            if file is None:
                unknown.append(path or "")
                continue
            label, labels = as_labels(given[row])
            split = as_split(columns["split"][row]) if "split" in columns else file.split
            changed = dataclasses.replace(file, label=label, labels=labels, split=split)
            if relabelled.get(file.path, changed) != changed:
                differing.append(path)
            relabelled[file.path] = changed
    if not relabelled:
        raise SourceError(
            f"{keyed.path}: none of its paths ({counted(keyed.rows.rows, 'row')}) is an image of the source"
            + (f", the first: {unknown[0]!r}" if unknown else "")
            + f", the first of the source: {files[0].path!r}" * bool(files)
            + "; give absolute paths, or paths relative to the file or to the source"
        )
    notes = [
        f"{counted(len(found), 'row')} of {keyed.path} {what}, the first: {found[0]}"
        for found, what in (
            (unknown, "about no image of the source"),
            (differing, "in place of a different earlier one about the same image"),
        )
        if found
    ]
    return [relabelled[file.path] for file in files if file.path in relabelled], notes


def _find(path: str, by_path: dict[str, ImageFile], folder: Path, source: str) -> ImageFile | None:
    """Find the file of a path as it is written, relative to the folder of the table or the current one, or relative to the source."""
    clean = cleaned(path)
    start, name = os.path.split(clean)
    below = (prefix + name for prefix in below_sources(start, [os.path.abspath(source)]))
    spellings = (
        path,
        *absolute_paths(path, folder),
        *resolved_paths(path, folder),
        *absolute_paths(clean, folder),
        *below,
    )
    return next((by_path[spelling] for spelling in spellings if spelling in by_path), None)


def load_labelled(
    files: list[ImageFile], listed: LabelledFiles, record: Preprocess, listener: Listener
) -> LabelledImages:
    """Decode labelled files; what cannot be decoded is left out with a note. Raises SourceError, TrainingError."""
    listener.start("decoding", len(files))
    images = data.load(files, record, tick=listener.advance)
    if images.failures:
        listener.note(
            f"left out: {counted(len(images.failures), 'image')} that could not be read; {data.describe_failures(images.failures)}"
        )
    for line in images.readings.lines():
        listener.note(line)
    place = {file.path: i for i, file in enumerate(files)}
    places = np.array([place[file.path] for file in images.files], np.intp)
    return LabelledImages(images.pixels, torch.from_numpy(listed.codes(list(images.files))), places)

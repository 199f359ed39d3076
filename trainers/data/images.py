"""Training data: a source decoded once into uint8 pixels, in memory or in a mapped file."""

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from featurestore.errors import SourceError, TrainingError
from featurestore.imaging import Loaded, load_all
from featurestore.imaging.preprocess import Preprocess
from featurestore.imaging.readings import Readings
from featurestore.sources import Failure, ImageFile
from featurestore.sources.column_names import ColumnNames
from featurestore.sources.listing import Listing
from featurestore.sources.reasons import Reasons, describe
from featurestore.system.text import printable
from trainers.data.cache import decode_to_cache, decode_to_memory
from trainers.data.listing import list_images

SMALLEST = 8  # images
LARGEST_BYTES = 16 << 30
IN_MEMORY = 2 << 30  # bytes of pixels; more are mapped from the disk


@dataclass(frozen=True)
class Images:
    """The decoded images of a source."""

    pixels: Tensor  # uint8 (N, 3, size, size)
    files: tuple[ImageFile, ...]  # N
    failures: tuple[Failure, ...]
    sha256: str  # of all pixels in order; the encoder's card identifies its training data by it
    held_back: Optional["Images"] = None  # the images of split test, where the monitor wants them
    readings: Readings = field(default_factory=Readings)  # how they were read


@dataclass(frozen=True, slots=True)
class TrainingFiles:
    """The files of a source, by what training does with them."""

    training: list[ImageFile]
    held_back: list[ImageFile]  # split test
    unlisted: list[Failure]  # places that could not be listed
    left_out: dict[str, int]  # images of other splits than train, by split
    listing: Listing
    named_split: str | None = None  # that the source as a whole is; its images are trained on

    def describe_splits(self) -> str:
        """Say how many images are trained on, and how many are left out, if any."""
        named = sum(file.split == "train" for file in self.training)
        without = len(self.training) - named
        unsplit = (
            f"{without} of split {self.named_split}, which was named"
            if self.named_split
            else f"{without} without a split"
        )
        used = [f"{named} of split train"] * bool(named) + [unsplit] * bool(without)
        left_out = ", ".join(f"{count} of split {printable(split)}" for split, count in sorted(self.left_out.items()))
        return f"trained on: {', '.join(used)}" + f"; left out: {left_out}" * bool(left_out)

    def check_labels(self, source: str | Path) -> None:
        """Raise SourceError when labels were asked for and no image that is trained on has one."""
        self.listing.check_labels([source])
        if not any(file.label or file.labels for file in self.training):
            raise SourceError(
                f"--labels folders: expected labels of images to train on, found labels of other splits alone in {source}; leave --labels out"
            )

    def notes(self, with_labels: bool, exclude: Sequence[str]) -> list[str]:
        """Say what is trained on, what was found and what was passed over."""
        has_splits = self.left_out or self.named_split or any(file.split for file in self.training)
        return [*[self.describe_splits()] * bool(has_splits), *self.listing.notes(with_labels, exclude)]


def list_training_files(
    source: str | Path, exclude: Sequence[str] = (), label_column: str | None = None
) -> TrainingFiles:
    """List a source; images of the splits val and test are not trained on, unless the source as a whole is that split.

    exclude: patterns of what to leave out, in the form of .gitignore. label_column: the column of labels in a table, when it has no usual
    name. Raises SourceError when no image is left.
    """
    files, unlisted, listing, named_split = list_images(source, exclude, ColumnNames(label=label_column))
    training = [f for f in files if f.split in (None, "train")]
    left_out = dict(Counter(f.split for f in files if f.split not in (None, "train")))
    if not training:
        raise SourceError(
            f"source {str(source)!r}: expected images to train on, found {len(files)} of other splits ({', '.join(sorted(left_out))}) and none else; "
            f"to train on these, name their folder: {source}/{next(iter(left_out))}"
        )
    held_back = [f for f in files if f.split == "test"]
    return TrainingFiles(training, held_back, unlisted, left_out, listing, named_split)


def describe_failures(failures: Iterable[Failure]) -> str:
    """Say on one line why files could not be read, grouped by reason."""
    reasons = Reasons()
    for failure in failures:
        reasons.add(failure)
    return describe(reasons.counts())


def check_enough(count: int, what: str) -> None:
    """Raise TrainingError when there are too few images to train on."""
    if count < SMALLEST:
        raise TrainingError(f"expected at least {SMALLEST} {what} to train on, found {count}")


def is_large(files: list[ImageFile], record: Preprocess, processes: int) -> bool:
    """Whether the decoded files should be mapped from the disk instead of held in the memory of so many processes."""
    return processes * len(files) * 3 * record.size**2 > IN_MEMORY


def load(
    files: list[ImageFile],
    record: Preprocess,
    workers: int | None = None,
    tick: Callable[[], None] = lambda: None,
    cache: Path | None = None,
) -> Images:
    """Decode files to one array; a file that cannot be decoded becomes a failure. `tick` is called after each decoded file.

    With `cache`, the array is that file, mapped; files that it holds already are not decoded again. Raises SourceError when no file is
    readable, TrainingError when the pixels are too large for memory, DiskError when they do not fit the disk.
    """
    need = len(files) * 3 * record.size**2
    if cache is None and need > LARGEST_BYTES:
        raise TrainingError(
            f"{len(files):,} images at {record.size} px need {need / 2**30:.0f} GiB of memory, the limit is {LARGEST_BYTES >> 30} GiB; "
            "choose a smaller --image-size or fewer images"
        )

    def decode(pixels: NDArray[np.uint8]) -> tuple[list[int], list[Failure], Readings]:
        good: list[int] = []
        failures: list[Failure] = []
        readings = Readings()
        for number, result in enumerate(load_all(((file, None) for file in files), record, workers)):
            tick()
            if isinstance(result, Failure):
                failures.append(result)
            elif isinstance(result, Loaded):
                pixels[len(good)] = result.pixels.transpose(2, 0, 1)
                good.append(number)
                readings.add(result.path, result.how, result.flat)
        return good, failures, readings

    if cache is not None:
        decoded = decode_to_cache(cache, files, record, decode)
    else:
        decoded = decode_to_memory(np.empty((len(files), 3, record.size, record.size), np.uint8), decode)
    good, failures = decoded.files, decoded.failures
    if not good:
        raise SourceError(f"none of {len(files)} files could be read as an image; {describe_failures(failures)}")
    with warnings.catch_warnings(action="ignore"):  # torch warns that a mapped array is read only; nobody writes to it
        pixels = torch.from_numpy(decoded.pixels[: len(good)])
    used = tuple(files[number] for number in good)
    return Images(pixels, used, tuple(failures), decoded.sha256, readings=decoded.readings)

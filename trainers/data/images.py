"""Training data: a source decoded once into uint8 pixels, held in memory or mapped from the disk, and the order in which batches are drawn."""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from featurestore.errors import SourceError, TrainingError
from featurestore.imaging import Loaded, load_all
from featurestore.imaging.preprocess import Preprocess
from featurestore.sources import Failure, ImageFile, open_source
from trainers.data.cache import decoded, mapped
from trainers.runtime.seeds import mix

SMALLEST = 8  # images
LARGEST_BYTES = 16 << 30
IN_MEMORY = 2 << 30  # bytes of pixels; more are mapped from the disk


@dataclass(frozen=True)
class Images:
    """The decoded images of a source."""

    pixels: Tensor  # uint8 (N, 3, size, size)
    files: tuple[ImageFile, ...]  # N
    failures: tuple[Failure, ...]
    sha256: str  # of all pixels in order: what the encoder's card calls its training data


@dataclass(frozen=True, slots=True)
class TrainingFiles:
    """The files of a source, by what training does with them."""

    training: list[ImageFile]
    held_back: list[ImageFile]  # top folder test
    unlisted: list[Failure]


def list_training_files(source: str | Path) -> TrainingFiles:
    """List a source; what lies in top folders val and test is not trained on. Raises SourceError when nothing is left."""
    opened = open_source(source)
    found = list(opened)
    files = [f for f in found if isinstance(f, ImageFile)]
    training = [f for f in files if f.split in (None, "train")]
    if not training:
        raise SourceError(
            f"source {str(source)!r}: expected images to train on, found {len(files)} in val/test folders and none elsewhere"
            + (f"; {opened.hint}" if opened.hint else "")
        )
    return TrainingFiles(
        training, [f for f in files if f.split == "test"], [f for f in found if isinstance(f, Failure)]
    )


def check_enough(count: int, what: str) -> None:
    """Raise TrainingError unless there are so many images that a batch of them is worth the name."""
    if count < SMALLEST:
        raise TrainingError(f"expected at least {SMALLEST} {what} to train on, found {count}")


def is_large(files: list[ImageFile], record: Preprocess, processes: int) -> bool:
    """Whether the decoded files are better mapped from the disk than held in the memory of so many processes."""
    return processes * len(files) * 3 * record.size**2 > IN_MEMORY


def load(
    files: list[ImageFile],
    record: Preprocess,
    workers: int | None = None,
    tick: Callable[[], None] = lambda: None,
    cache: Path | None = None,
) -> Images:
    """Decode files to one array; what cannot be decoded becomes a failure. `tick` is called once a decoded file.

    With `cache`, the array is that file, mapped, and what it holds already is not decoded again. Raises SourceError when no file is readable,
    TrainingError when the pixels would not fit a sensible memory, DiskError when they do not fit the disk.
    """
    need = len(files) * 3 * record.size**2
    if cache is None and need > LARGEST_BYTES:
        raise TrainingError(
            f"{len(files):,} images at {record.size} px need {need / 2**30:.0f} GiB of memory, the limit is {LARGEST_BYTES >> 30} GiB; "
            "choose a smaller --image-size or fewer images"
        )

    def decode(pixels: NDArray[np.uint8]) -> tuple[list[int], list[Failure]]:
        good: list[int] = []
        failures: list[Failure] = []
        for number, result in enumerate(load_all(((file, None) for file in files), record, workers)):
            tick()
            if isinstance(result, Failure):
                failures.append(result)
            elif isinstance(result, Loaded):
                pixels[len(good)] = result.pixels.transpose(2, 0, 1)
                good.append(number)
        return good, failures

    if cache is not None:
        held = mapped(cache, files, record, decode)
    else:
        held = decoded(np.empty((len(files), 3, record.size, record.size), np.uint8), decode)
    good, failures = held.files, held.failures
    if not good:
        first = f", the first: {failures[0].path}: {failures[0].reason}" if failures else ""
        raise SourceError(f"none of {len(files)} files could be read as an image{first}")
    with warnings.catch_warnings(action="ignore"):  # that a mapped array cannot be written to, which nobody does
        pixels = torch.from_numpy(held.pixels[: len(good)])
    return Images(pixels, tuple(files[number] for number in good), tuple(failures), held.sha256)


def batches(count: int, batch_size: int, seed: int, epoch: int, device: torch.device | str = "cpu") -> Iterator[Tensor]:
    """Draw the batches of one epoch: a permutation that depends on seed and epoch alone, the short rest left out."""
    rng = torch.Generator().manual_seed(mix(seed, epoch, -1))
    order = torch.randperm(count, generator=rng).to(device)
    for start in range(0, count - batch_size + 1, batch_size):
        yield order[start : start + batch_size]

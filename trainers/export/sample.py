"""A random sample of a source: what int8 is calibrated and measured on, and what a mean image is computed from. Needs no torch."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featurestore.errors import ConfigError
from featurestore.imaging import Loaded, load_all
from featurestore.imaging.preprocess import Preprocess
from featurestore.progress import Listener
from featurestore.sources import ImageFile, find

LARGEST = 1300  # images
FEWEST = 50  # images; fewer give no reliable agreement
MOST_BYTES = 512 << 20  # of the pixels, which are in memory twice while the array is built


def check_source(source: str | Path) -> None:
    """Raise SourceError when there is no such source, ConfigError when it lists fewer than 50 images."""
    listed = sum(1 for _ in itertools.islice(_images(source), FEWEST))
    if listed < FEWEST:
        raise _too_few(source, listed)


def take_sample(source: str | Path, record: Preprocess, listener: Listener) -> NDArray[np.uint8]:
    """Decode and preprocess a random sample of a source: (N, size, size, 3), shuffled, the same each time.

    Raises SourceError, ConfigError for fewer than 50 readable images.
    """
    files = list(_images(source))
    wanted = min(LARGEST, max(FEWEST, MOST_BYTES // (3 * record.size**2)))
    rng = np.random.default_rng(0)
    chosen = sorted(rng.permutation(len(files))[:wanted])  # in the source's order, which reads fastest
    listener.start("decoding", len(chosen))
    usable = []
    for loaded in load_all(((files[i], None) for i in chosen), record):
        listener.advance()
        if isinstance(loaded, Loaded):
            usable.append(loaded.pixels)
    if len(usable) < FEWEST:
        raise _too_few(source, len(usable))
    return np.stack([usable[i] for i in rng.permutation(len(usable))])


def _images(source: str | Path) -> Iterator[ImageFile]:
    return (found for found in find(source) if isinstance(found, ImageFile))


def _too_few(source: str | Path, found: int) -> ConfigError:
    return ConfigError(
        f"--calibrate {source}: expected at least {FEWEST} images that can be read, found {found}; give a larger source, "
        "preferably a part of the collection that the encoder is for"
    )

"""A classifier file: an encoder file that also names classes, for programs that have no store."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featurestore.encoders.encoder import Encoder
from featurestore.errors import ImageError
from featurestore.imaging.load import Picture
from featurestore.sources import Failure

Classes: TypeAlias = list[tuple[str, float]]  # all classes with their probabilities, most probable first


class Classifier:
    """A classifier file, opened: an image in, classes and their probabilities out."""

    def __init__(self, path: str | Path, threads: int | None = None, provider: str = "cpu") -> None:
        """Open a file as `Encoder` does. Raises EncoderError, also for an encoder without classes."""
        self._encoder = Encoder(path, threads, provider)
        size = self._encoder.preprocess.size
        self.probabilities(np.zeros((1, size, size, 3), np.uint8))  # refuses an encoder without classes

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes in the order of `probabilities`."""
        return self._encoder.card.classes

    def classify(self, image: Picture) -> Classes:
        """Classify an image: all classes with probabilities that sum to 1, most probable first. Raises ImageError, EncoderError."""
        name = "image" if isinstance(image, Image.Image) else repr(str(image))
        loaded = self._encoder.load(image)
        if isinstance(loaded, Failure):
            raise ImageError(f"{name}: expected an image; {loaded.reason}")
        [found] = self.probabilities(loaded.pixels[None])
        if np.isnan(found).any():
            raise ImageError(f"{name}: cannot be classified: the encoder gave a vector that is zero or not finite")
        return [(self.classes[n], float(found[n])) for n in np.argsort(-found, kind="stable")]

    def classify_each(self, paths: Iterable[str | Path]) -> Iterator[tuple[str, Classes | Failure]]:
        """Classify many image files; one that cannot be used is a Failure, and the others are classified all the same."""
        for path in map(str, paths):
            try:
                yield path, self.classify(path)
            except ImageError as error:
                yield path, Failure.of(path, error)

    def probabilities(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probabilities of preprocessed pixels, uint8 (B, size, size, 3): (B, C); NaN where the network gave no vector."""
        return self._encoder.probabilities(pixels)

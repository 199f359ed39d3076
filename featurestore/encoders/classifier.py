"""A classifier file: an encoder file that also says what it takes an image for, for programs that have no store."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featurestore.encoders.encoder import Encoder
from featurestore.errors import ImageError
from featurestore.imaging import decode as images
from featurestore.imaging import preprocess
from featurestore.sources import Failure, read

Said = list[tuple[str, float]]  # classes with their probabilities, most probable first


class Classifier:
    """A classifier file, opened: an image in, classes and their probabilities out."""

    def __init__(self, path: str | Path, threads: int | None = None, provider: str = "cpu") -> None:
        """Open a file as `Encoder` opens one. Raises EncoderError, also when it is an encoder and says no classes."""
        self._encoder = Encoder(path, threads, provider)
        size = self._encoder.preprocess.size
        self.probabilities(np.zeros((1, size, size, 3), np.uint8))  # an encoder without classes is refused here

    @property
    def classes(self) -> tuple[str, ...]:
        """What it tells apart, in the order of `probabilities`."""
        return self._encoder.card.classes

    def classify(self, image: str | Path | Image.Image) -> Said:
        """Say what an image is: all classes with their probabilities, which sum to 1, most probable first. Raises ImageError, EncoderError."""
        name = "image" if isinstance(image, Image.Image) else repr(str(image))
        record = self._encoder.preprocess
        try:
            if isinstance(image, Image.Image):
                decoded = images.take(image)
            else:
                decoded = images.decode(read(image), shorter_side=record.shorter_side)
        except ImageError as error:
            raise ImageError(f"{name}: expected an image; {error}") from error
        [found] = self.probabilities(preprocess.apply(decoded, record)[None])
        if np.isnan(found).any():
            raise ImageError(f"{name}: nothing can be said of it: the encoder gave a vector that is zero or not finite")
        return [(self.classes[n], float(found[n])) for n in np.argsort(-found, kind="stable")]

    def classify_each(self, paths: Iterable[str | Path]) -> Iterator[tuple[str, Said | Failure]]:
        """Say of each of many image files what it is; one that cannot be used is a Failure, and stops nothing."""
        for path in map(str, paths):
            try:
                yield path, self.classify(path)
            except ImageError as error:
                yield path, Failure(path, str(error))

    def probabilities(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The probabilities of preprocessed pixels, uint8 (B, size, size, 3): (B, C); NaN where the network made no vector."""
        return self._encoder.probabilities(pixels)

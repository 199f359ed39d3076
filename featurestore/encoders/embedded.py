"""What an encoder makes of images: their vectors, and a reason for each image without one."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from featurestore.imaging.quality import Quality


@dataclass(frozen=True, slots=True)
class EmbeddedImage:
    """An image that has a vector."""

    place: int  # among the images that were given, from 0
    path: str  # empty for an image in memory
    sha256: str  # of the file's bytes; empty for an image in memory
    width: int  # in pixels, upright
    height: int
    how: str = ""  # in a few words, where values were scaled or channels left out
    flat: bool = False  # of one colour, or nearly so
    quality: Quality | None = None  # of the whole image, for files of a source


@dataclass(frozen=True, slots=True)
class FailedImage:
    """An image without a vector, and why."""

    place: int  # among the images that were given, from 0
    path: str  # empty for an image in memory
    reason: str
    readable: bool = False  # the image was decoded, but the network's output is zero or not finite
    unread: bool = False  # as in `Failure`


@dataclass(frozen=True, slots=True)
class KnownImage:
    """An image whose content was known by its hash, so that it was not encoded."""

    place: int  # among the images that were given, from 0
    sha256: str  # of the file's bytes


@dataclass(frozen=True, slots=True)
class Embedded:
    """The images of one call, or of one batch of a stream; each image is in one of the three lists."""

    images: list[EmbeddedImage]  # N
    vectors: NDArray[np.float32]  # (N, D), finite and of unit length
    failures: list[FailedImage]
    known: list[KnownImage] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.images) + len(self.failures) + len(self.known)

    @classmethod
    def concatenate(cls, parts: Sequence["Embedded"], dim: int) -> "Embedded":
        """Join the batches of a stream into one; `dim` is D, needed when there are no batches."""
        return cls(
            [image for part in parts for image in part.images],
            np.concatenate([np.empty((0, dim), np.float32), *(part.vectors for part in parts)]),
            [failure for part in parts for failure in part.failures],
            [image for part in parts for image in part.known],
        )

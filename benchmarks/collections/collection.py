"""A labelled collection of images, and how it is written as files."""

import shutil
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

SPLITS = ("train", "test")
Images = Iterator[tuple[str, str, Image.Image | Path]]  # split, label, and the image or the file to copy
Random = np.random.Generator
Draw = Callable[[str, Random], Image.Image]


@dataclass(frozen=True)
class Collection:
    """What a collection is made of, and the function that makes its images.

    content: what makes an image one of its class. nuisance: what varies within a class and must not count.
    images: from a seed, and the folder that `source` names (None where nothing is needed), to the images.
    """

    name: str
    kind: str
    pixels: str
    classes: int
    train: int
    test: int
    content: str
    nuisance: str
    images: Callable[[int, Path | None], Images]
    source: str | None = None

    def make(self, folder: Path, seed: int = 0, source: Path | None = None) -> None:
        """Write the images as `folder`/<split>/<label>/<number>.png; copied files keep their suffix.

        Raises FileExistsError when `folder` is there, and ValueError when the source is not given.
        """
        if folder.exists():
            raise FileExistsError(f"{folder} is there already; remove it, or choose another folder")
        if self.source and source is None:
            raise ValueError(f"{self.name} is made of the images of {self.source}; give their folder")
        part = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        made: set[Path] = set()
        for number, (split, label, image) in enumerate(self.images(seed, source)):
            place = part / split / label
            if place not in made:
                place.mkdir(parents=True)
                made.add(place)
            if isinstance(image, Path):
                shutil.copyfile(image, place / f"{number:05d}{image.suffix}")
            else:
                image.save(place / f"{number:05d}.png")
        part.rename(folder)


def streams(name: str, labels: Sequence[str], counts: tuple[int, int], seed: int) -> Iterator[tuple[str, str, Random]]:
    """Give split, label and a random stream of its own for each image: `counts` of each label for train and for test."""
    for part, (split, count) in enumerate(zip(SPLITS, counts, strict=True)):
        for number, label in enumerate(labels):
            for index in range(count):
                yield split, label, np.random.default_rng([seed, zlib.crc32(name.encode()), part, number, index])


def drawn(
    name: str,
    kind: str,
    pixels: str,
    labels: Sequence[str],
    counts: tuple[int, int],
    draw: Draw,
    content: str,
    nuisance: str,
) -> Collection:
    """A collection whose images `draw` makes from their label: `counts` of each label for train and for test."""

    def images(seed: int, source: Path | None) -> Images:
        for split, label, random in streams(name, labels, counts, seed):
            yield split, label, draw(label, random)

    train, test = (len(labels) * count for count in counts)
    return Collection(name, kind, pixels, len(labels), train, test, content, nuisance, images)

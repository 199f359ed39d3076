"""CIFAR-10 in five variants, and photos: made of folders that are there already."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from benchmarks.collections.collection import SPLITS, Collection, Images

CLASSES, TEST = 10, 200  # test images of each class
RATIO = 100  # of the largest class to the smallest one in the long tail
BLUR = 1.5  # pixels
EVEN, FEW, TAIL = (1000,) * CLASSES, (100,) * CLASSES, tuple(round(2000 * RATIO ** (-n / 9)) for n in range(CLASSES))


def subset(folder: Path, counts: tuple[int, ...], seed: int) -> Iterator[tuple[str, str, Path]]:
    """Draw files of a labelled folder: so many for train of each class in the order of names, and TEST of each for test.

    Raises ValueError when a class has fewer.
    """
    random = np.random.default_rng(seed)
    for split in SPLITS:
        labels = sorted(path.name for path in (folder / split).iterdir() if path.is_dir())
        for label, count in zip(labels, counts if split == "train" else (TEST,) * len(counts), strict=True):
            files = sorted((folder / split / label).iterdir())
            if len(files) < count:
                raise ValueError(f"{folder / split / label} has {len(files)} images; expected at least {count}")
            for number in sorted(random.permutation(len(files))[:count]):
                yield split, label, files[number]


def variant(
    counts: tuple[int, ...], change: Callable[[Image.Image], Image.Image] | None, seed: int, source: Path | None
) -> Images:
    """A subset of CIFAR-10, with every image changed; without a change its files."""
    assert source is not None
    for split, label, path in subset(source, counts, seed):
        yield split, label, change(Image.open(path)) if change else path


def whole(seed: int, source: Path | None) -> Images:
    """All files of a labelled folder."""
    assert source is not None
    for split in SPLITS:
        for path in sorted((source / split).glob("*/*")):
            yield split, path.parent.name, path


def grey(image: Image.Image) -> Image.Image:
    return image.convert("L")


def blurred(image: Image.Image) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(BLUR))


def of_cifar10(
    name: str, kind: str, counts: tuple[int, ...], change: Callable[[Image.Image], Image.Image] | None = None
) -> Collection:
    content, nuisance = "thing or animal", "breed, view, background, light"
    images = partial(variant, counts, change)
    return Collection(name, kind, "32", CLASSES, sum(counts), CLASSES * TEST, content, nuisance, images, "cifar10")


CIFAR10 = (
    of_cifar10("cifar10", "photos, small", EVEN),
    of_cifar10("cifar10-tail", "unequal classes", TAIL),
    of_cifar10("cifar10-grey", "grey photos", EVEN, grey),
    of_cifar10("cifar10-few", "few images", FEW),
    of_cifar10("cifar10-blurred", "blurred photos", EVEN, blurred),
)
PHOTOS = Collection(
    "photos",
    "photos, large",
    "about 300",
    13,
    273,
    117,
    "flower, vehicle or thing",
    "view, background, light",
    whole,
    "photos",
)

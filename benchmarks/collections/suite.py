"""All collections by name."""

from benchmarks.collections.cells import CELLS
from benchmarks.collections.cifar10 import CIFAR10, PHOTOS
from benchmarks.collections.collection import Collection
from benchmarks.collections.glyphs import LETTERS
from benchmarks.collections.packaged import DIGITS, MNIST, SURFACES_OF_PHOTOS
from benchmarks.collections.shapes import COLOURS, DIRECTION, SHAPES
from benchmarks.collections.signs import ROAD_SIGNS
from benchmarks.collections.textures import TEXTURES

DRAWN = (SHAPES, DIRECTION, COLOURS, TEXTURES, ROAD_SIGNS, CELLS, LETTERS)
COLLECTIONS: dict[str, Collection] = {c.name: c for c in (*CIFAR10, PHOTOS, DIGITS, MNIST, SURFACES_OF_PHOTOS, *DRAWN)}

"""Collections as people have them: other names of splits, odd channels and ranges, broken files, things that are not images.

All images are drawn here. A collection is the same whatever it is packed in; see `roads`.
"""

import io
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.featurestore.imaging.image_bytes import multiband, saved

SIDE = 12  # pixels
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Entry:
    """One file: its path in the collection, its bytes, and what a table says about it."""

    name: str
    data: bytes
    labels: str | list[str] | None = None
    split: str | None = None
    is_image: bool = True  # for whoever made the collection; lists and tables name these alone


def entry(name: str, data: bytes) -> Entry:
    """An entry whose table says what its folders say, in the words of its author."""
    *folders, _ = name.split("/")
    split = folders[0] if len(folders) > 1 else None
    return Entry(name, data, folders[-1] if folders else None, split)


def drawn(seed: int) -> Pixels:
    """A picture (SIDE, SIDE, 3) of many colours, another one for each seed."""
    return np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), np.uint8)


def png(seed: int) -> bytes:
    return saved(Image.fromarray(drawn(seed)), "PNG")


def pictures(names: Iterable[str]) -> list[Entry]:
    return [entry(name, png(seed)) for seed, name in enumerate(names)]


def grey_of_twelve_bits(seed: int) -> bytes:
    """Twelve bits in a file of sixteen."""
    values = drawn(seed)[:, :, 0].astype(np.uint16) << 4
    values[0, 0] = 4095
    return saved(Image.fromarray(values), "PNG")


def with_infrared(seed: int) -> bytes:
    """Red, green, blue and near infrared; the file does not say that the fourth is alpha."""
    colours = drawn(seed)
    return multiband(np.dstack([colours, 255 - colours[:, :, :1]]), t338=(0,))


def thirteen_bands(seed: int) -> bytes:
    return multiband(np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 13), np.uint8))


def with_infinity(seed: int) -> bytes:
    """Floats from 0 to 1, and one that is infinite."""
    values = drawn(seed)[:, :, 0].astype(np.float32) / 255
    values[0, 0] = np.inf
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "TIFF")
    return buffer.getvalue()


def one_colour(seed: int) -> bytes:
    return saved(Image.fromarray(np.full((SIDE, SIDE, 3), 40 + seed, np.uint8)), "PNG")


SPLITS = pictures(["TEST/b/3.png", "Training/a/0.png", "Training/a/1.png", "Training/b/2.png", "valid/a/4.png"])
FLAT = [Entry(f"{n}.png", png(n)) for n in range(3)]
TWELVE_BITS = [entry(f"{label}/{n}.png", grey_of_twelve_bits(n)) for n, label in enumerate("aabb")]
INFRARED = [entry(f"{label}/{n}.tif", with_infrared(n)) for n, label in enumerate("aabb")]
BANDS = [entry(f"{label}/{n}.tif", thirteen_bands(n)) for n, label in enumerate("ab")]
INFINITE = [entry(f"{label}/{n}.tif", with_infinity(n)) for n, label in enumerate("ab")]
ONE_COLOUR = [entry(f"{label}/{n}.png", one_colour(n)) for n, label in enumerate("ab")]
BROKEN = [
    entry("a/0.png", png(0)),
    entry("a/empty.jpg", b""),
    entry("b/1.png", png(1)),
    entry("b/text.jpg", b"not an image"),
    entry("b/void.jpg", b""),
]
ALL_BROKEN = BROKEN[1:2] + BROKEN[3:]
BESIDE = [
    *pictures(["a/0.png", "b/1.png"]),
    *(
        Entry(name, b"x", is_image=False)
        for name in ("#recycle/2.png", "@eaDir/3.png", "a/.hidden.png", "a/._0.png", "a/film.mp4", "a/notes.txt")
    ),
]
SEVERAL = [Entry("0.png", png(0), ["x", "y"]), Entry("1.png", png(1), ["x"]), Entry("2.png", png(2), [" y ", "z", "y"])]
BLANKS = [Entry("0.png", png(0), " rose"), Entry("1.png", png(1), "rose "), Entry("2.png", png(2), "ro\x1b[31mse")]

COLLECTIONS = {
    "splits": SPLITS, "flat": FLAT, "twelve bits": TWELVE_BITS, "infrared": INFRARED, "bands": BANDS, "infinite": INFINITE, "one colour": ONE_COLOUR,
    "broken": BROKEN, "all broken": ALL_BROKEN, "beside": BESIDE, "several": SEVERAL, "blanks": BLANKS,
}  # fmt: skip

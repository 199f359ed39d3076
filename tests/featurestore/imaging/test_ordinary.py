"""What is ordinary, by the bytes alone: common files are, and files that are made to take time or memory are not."""

import io
import time

import numpy as np
import pytest
from PIL import Image

from featurestore.imaging import decode
from featurestore.imaging.ordinary import memory_of
from tests.featurestore.attacks.image_attacks import SMALL
from tests.featurestore.imaging.image_bytes import KINDS, noise, quadrants, rubbish, saved, tiff, tiff_tags

HARMLESS = {"frames.gif", "circle.tif"}  # whose form bounds what Pillow reads of them


@pytest.mark.parametrize("kind", KINDS)
def test_common_files_are_ordinary(kind: str) -> None:
    suffix, options = KINDS[kind]
    assert (memory_of(saved(noise(), kind, **options)) is not None) == (suffix not in ("jp2", "avif", "ico", "dds"))


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"])
def test_common_tiffs_are_ordinary(mode: str, compression: str | None) -> None:
    image = Image.new(mode, (48, 32)) if mode in ("I;16", "F") else quadrants().convert("L" if mode == "LA" else mode)
    assert memory_of(saved(image.convert(mode) if mode == "LA" else image, "tiff", compression=compression)) is not None


@pytest.mark.parametrize("name", SMALL)
def test_what_is_made_to_take_time_or_memory_is_not_ordinary(name: str) -> None:
    data = SMALL[name]()
    began = time.process_time()
    memory = memory_of(data)
    assert time.process_time() - began < 0.2
    assert (memory is not None) == (name in HARMLESS)


@pytest.mark.parametrize("data", [b"", b"\0", b"Python", rubbish(4096), b"<html>", b"P6", bytes(4096)])
def test_what_is_no_image_is_left_to_pillow_which_refuses_it_at_once(data: bytes) -> None:
    assert memory_of(data) == 0


def test_a_jpeg_that_is_reduced_needs_less() -> None:
    data = saved(Image.new("RGB", (4000, 3000)), "jpeg")
    whole, reduced = memory_of(data), memory_of(data, 300)
    assert whole is not None
    assert reduced is not None
    assert whole // 65 <= reduced <= whole // 64
    assert memory_of(data, 500) == memory_of(data, 700) == whole // 16


def test_an_image_of_a_gigabyte_is_not_ordinary() -> None:
    def header(width: int) -> bytes:
        return tiff(tiff_tags(width, 5000))

    assert memory_of(header(10_000)) is not None
    assert memory_of(header(20_000)) is None


@pytest.mark.parametrize(
    ("mode", "kind"), [("RGB", "png"), ("RGBA", "png"), ("L", "tiff"), ("I;16", "png"), ("P", "gif")]
)
def test_no_image_needs_more_than_is_said(mode: str, kind: str) -> None:
    """Counted from the arrays of pixels alone, which is less than the process takes."""
    image = Image.new(mode, (300, 200)) if mode == "I;16" else noise().resize((300, 200)).convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, kind)
    decoded = decode.decode(buffer.getvalue()).image
    memory = memory_of(buffer.getvalue())
    assert memory is not None
    assert memory >= np.asarray(image).nbytes + 2 * np.asarray(decoded).nbytes

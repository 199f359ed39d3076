"""Image files from their parts: what an encoder of images would refuse to write."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Colour = tuple[int, int, int]
RED, GREEN, BLUE, WHITE, GREY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (128, 128, 128)
FOUR = (RED, GREEN, BLUE, WHITE)
SIZE = (48, 32)

KINDS: dict[str, tuple[str, dict[str, Any]]] = {  # by kind: suffix, and options of the writer
    "jpeg": ("jpg", {"quality": 90}), "progressive": ("jpg", {"quality": 90, "progressive": True}), "png": ("png", {}), "gif": ("gif", {}),
    "tiff": ("tif", {}), "webp": ("webp", {"lossless": True}), "bmp": ("bmp", {}),
}  # fmt: skip


def quadrants(mode: str = "RGB") -> Image.Image:
    four = np.array(FOUR, np.uint8).reshape(2, 2, 3).repeat(SIZE[1] // 2, axis=0).repeat(SIZE[0] // 2, axis=1)
    return Image.fromarray(four).convert(mode)


def noise() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8))


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG" if kind == "progressive" else kind.upper(), **options)
    return buffer.getvalue()


def rubbish(count: int, seed: int = 0) -> bytes:
    return np.random.default_rng(seed).bytes(count)


def png(width: int, height: int, depth: int, kind: int, raw: bytes, *before: tuple[bytes, bytes]) -> bytes:
    """A PNG from its parts; `before` are chunks ahead of the pixels."""
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    parts = [(b"IHDR", header), *before, (b"IDAT", zlib.compress(raw)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def bmp(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<IIIIiiHHIIiiII", 54, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)


def gif(width: int, height: int, frame: tuple[int, int] = (2, 2)) -> bytes:
    """A GIF of two colours whose only frame holds four pixels of the first."""
    screen = struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(RED) + bytes(BLUE)
    return b"GIF89a" + screen + b"," + struct.pack("<HHHHB", 0, 0, *frame, 0) + b"\x02\x03\x04\x00\x05\x00\x3b"


def tiff(tags: dict[int, tuple[int, ...]], *blobs: bytes, order: str = "<") -> bytes:
    """A TIFF from its tags, all of the kind LONG, and its strips or tiles; a tag that is empty gets their places."""
    heap, places = b"", []
    start = 8 + 2 + 12 * len(tags) + 4
    for blob in blobs:
        places.append(start + len(heap))
        heap += blob
    directory = b""
    for tag, values in sorted(tags.items()):
        values = values or tuple(places)
        directory += struct.pack(order + "HHI", tag, 4, len(values))
        if len(values) == 1:
            directory += struct.pack(order + "I", *values)
        else:
            directory += struct.pack(order + "I", start + len(heap))
            heap += struct.pack(f"{order}{len(values)}I", *values)
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(order + "IH", 8, len(tags)) + directory + bytes(4) + heap


def tiff_tags(width: int, height: int, **changes: tuple[int, ...]) -> dict[int, tuple[int, ...]]:
    tags: dict[int, tuple[int, ...]] = {
        256: (width,), 257: (height,), 258: (8, 8, 8), 259: (1,), 262: (2,), 273: (), 277: (3,), 278: (height,), 279: (width * height * 3,),
    }  # fmt: skip
    return tags | {int(key[1:]): value for key, value in changes.items()}


FORMATS = {"u": 1, "i": 2, "f": 3}


def multiband(values: NDArray[Any], *, rows: int = 7, planar: bool = False, pack: Any = bytes, **tags: Any) -> bytes:
    """A TIFF of (H, W, C) in strips of some rows, each packed by `pack`."""
    height, width, bands = values.shape
    parts = [values[..., band, None] for band in range(bands)] if planar else [values]
    strips = [pack(part[row : row + rows].tobytes()) for part in parts for row in range(0, height, rows)]
    return tiff(
        {
            256: (width,), 257: (height,), 258: (8 * values.itemsize,) * bands, 259: (1,), 262: (2 if bands in (3, 4) else 1,),
            273: (), 277: (bands,), 278: (rows,), 279: tuple(map(len, strips)), 284: (1 + planar,),
            339: (FORMATS[values.dtype.kind],) * bands,
        } | {int(key[1:]): value for key, value in tags.items()},
        *strips,
        order=">" if values.dtype.byteorder == ">" else "<",
    )  # fmt: skip


def jpeg_of_size(width: int, height: int) -> bytes:
    data = bytearray(saved(quadrants(), "jpeg"))
    start = data.index(b"\xff\xc0") + 5
    data[start : start + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def tga(width: int, height: int) -> bytes:
    return bytes([0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0]) + struct.pack("<HHBB", width, height, 24, 0x20)


def psd(width: int, height: int) -> bytes:
    return b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, height, width, 8, 3) + bytes(14)


def qoi(width: int, height: int, body: bytes = b"") -> bytes:
    return b"qoif" + struct.pack(">IIBB", width, height, 3, 0) + body + bytes(7) + b"\1"


def exif(value: int, kind: int = 3) -> bytes:
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<HHHIII", 1, 0x0112, kind, 1, value, 0)

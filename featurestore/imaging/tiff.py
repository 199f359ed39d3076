"""The samples of TIFF files whose numbers Pillow loses or cannot read: above 8 bits, floating point, many bands."""

import io
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from featurestore.errors import ImageError
from featurestore.imaging.samples import Samples, check_bands

HEADS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the last two are BigTIFF
WIDTH, HEIGHT, BITS = 256, 257, 258  # tags
GREY_INVERTED, GREY, RGB = 0, 1, 2  # PhotometricInterpretation
PLAIN, DEFLATE = 1, (8, 32946)
COMPRESSIONS = (
    PLAIN,
    *DEFLATE,
    5,
    32773,
    34925,
    50000,
)  # of bytes, whatever they mean: the last four are LZW, PackBits, LZMA, Zstandard
KINDS = {1: "u", 2: "i", 3: "f"}  # SampleFormat
ALPHA = (1, 2)  # ExtraSamples: multiplied into the colours, and not; 0 is a channel of unknown meaning
DIFFERENCES, FLOAT_DIFFERENCES = 2, 3  # Predictor
LARGEST_CHUNK = 1 << 30  # bytes of a strip or tile


@dataclass(frozen=True, slots=True)
class _Layout:
    """How the samples lie in a file."""

    width: int
    height: int
    samples: int
    dtype: np.dtype[Any]
    photometric: int
    extra: tuple[int, ...]
    compression: int
    predictor: int
    planar: bool  # one band after the other; otherwise the samples of a pixel lie together
    chunk: tuple[int, int]  # rows and columns of a tile or strip
    tiled: bool
    offsets: tuple[int, ...]  # of the chunks in the file
    counts: tuple[int, ...]  # bytes of each


def read_tags(data: bytes) -> ImageFileDirectory_v2:
    """Read the tags of the first image. Raises what Pillow raises for a damaged file."""
    tags = ImageFileDirectory_v2(data[: 16 if 43 in data[2:4] else 8])
    file = io.BytesIO(data)
    file.seek(tags.next)
    tags.load(file)
    return tags


def read_samples(data: bytes, tags: ImageFileDirectory_v2, bands: Sequence[int] | None) -> Samples | None:
    """Read the samples of the first image, all or those of some bands (from 1); None where Pillow is to read the file.

    Raises ImageError for a file that is cut off or damaged, or has not so many bands.
    """
    layout = _layout(tags)
    if layout is None or (bands is None and _is_plain(layout)):
        return None
    colours = 3 if layout.photometric == RGB else 1
    if bands is not None:
        check_bands(bands, layout.samples)
        alpha, colours = None, len(bands)
    else:
        alpha = next((layout.samples - len(layout.extra) + i for i, x in enumerate(layout.extra) if x in ALPHA), None)
    return Samples(
        _read(data, layout, [band - 1 for band in bands or range(1, layout.samples + 1)]),
        colours,
        alpha,
        premultiplied=alpha is not None and ALPHA[0] in layout.extra,
        stated=_stated(tags, layout.dtype),
        inverted=layout.photometric == GREY_INVERTED,
    )


def _layout(tags: ImageFileDirectory_v2) -> _Layout | None:
    """Read how the samples lie; None for palettes, other colour spaces, packed bits and compressions of pictures."""
    samples = int(tags.get(277, 1))
    bits, kinds = set(tags.get(BITS, (1,))), set(tags.get(339, (1,)))
    photometric, compression = tags.get(262, GREY_INVERTED), tags.get(259, PLAIN)
    plain = photometric in (GREY_INVERTED, GREY, RGB) and compression in COMPRESSIONS and tags.get(266, 1) == 1
    if not plain or len(bits) != 1 or len(kinds) != 1 or not bits <= {8, 16, 32, 64} or not kinds <= set(KINDS):
        return None
    [depth], [kind] = bits, kinds
    if (KINDS[kind], depth) == ("f", 8):
        return None
    tiled = 322 in tags
    width, height = int(tags[WIDTH]), int(tags[HEIGHT])
    return _Layout(
        width, height, samples,
        np.dtype(f"{tags._endian}{KINDS[kind]}{depth // 8}"),
        photometric, tuple(tags.get(338, ())), compression, tags.get(317, 1), tags.get(284, 1) == 2,
        (int(tags[323]), int(tags[322])) if tiled else (min(int(tags.get(278, height)), height), width),
        tiled, tuple(tags[324 if tiled else 273]), tuple(tags[325 if tiled else 279]),
    )  # fmt: skip


def _is_plain(layout: _Layout) -> bool:
    """Whether Pillow reads all of it as it is meant: 8 bits, grey or RGB, with nothing else than alpha."""
    colours = 3 if layout.photometric == RGB else 1
    extra = layout.samples - colours
    return layout.dtype == np.uint8 and (extra == 0 or (extra == 1 and layout.extra in ((1,), (2,))))


def _stated(tags: ImageFileDirectory_v2, dtype: np.dtype[Any]) -> tuple[float, float] | None:
    """Give black and white as SMinSampleValue, SMaxSampleValue, MinSampleValue and MaxSampleValue say; None for the whole of the type."""
    for low, high in ((340, 341), (280, 281)):
        if low in tags and high in tags:
            stated = float(np.min(tags[low])), float(np.max(tags[high]))
            whole = dtype.kind != "f" and stated == (np.iinfo(dtype).min, np.iinfo(dtype).max)
            return stated if stated[0] < stated[1] and np.isfinite(stated).all() and not whole else None
    return None


def _read(data: bytes, layout: _Layout, bands: Sequence[int]) -> NDArray[Any]:
    """Read some bands (from 0): (H, W, C) in the byte order of this machine."""
    values = np.zeros((layout.height, layout.width, len(bands)), layout.dtype.newbyteorder("="))
    for place, band in enumerate(bands) if layout.planar else [(slice(None), None)]:
        for row, column, chunk in _chunks(data, layout, band or 0):
            part = chunk[: layout.height - row, : layout.width - column]
            into = values[row : row + part.shape[0], column : column + part.shape[1], place]
            into[...] = part[..., 0] if layout.planar else part[..., bands]
    return values


def _chunks(data: bytes, layout: _Layout, plane: int) -> Iterator[tuple[int, int, NDArray[Any]]]:
    """Yield the strips or tiles of a plane: the row and column where each begins, and its samples (rows, columns, C)."""
    rows, columns = layout.chunk
    if rows < 1 or columns < 1:
        raise ImageError("damaged, or of a kind without a decoder here: strips or tiles without pixels")
    corners = [(row, column) for row in range(0, layout.height, rows) for column in range(0, layout.width, columns)]
    first = plane * len(corners)
    if min(len(layout.offsets), len(layout.counts)) < first + len(corners):
        raise ImageError("cut off or damaged: fewer strips or tiles than the image needs")
    depth = 1 if layout.planar else layout.samples
    for number, (row, column) in enumerate(corners, start=first):
        shape = (rows if layout.tiled else min(rows, layout.height - row), columns, depth)
        start = layout.offsets[number]
        yield row, column, _unpack(data[start : start + layout.counts[number]], layout, shape)


def _unpack(packed: bytes, layout: _Layout, shape: tuple[int, int, int]) -> NDArray[Any]:
    """Decompress a strip or tile and undo its predictor. Raises ImageError when there are too few bytes."""
    rows, columns, depth = shape
    row_bytes = columns * depth * layout.dtype.itemsize
    if rows * row_bytes > LARGEST_CHUNK:
        raise ImageError(f"too large: a strip or tile of {rows * row_bytes:,} bytes, the limit is {LARGEST_CHUNK:,}")
    raw = _decompress(packed, layout.compression, rows, row_bytes)
    if len(raw) < rows * row_bytes:
        raise ImageError(f"cut off or damaged: {len(raw)} of {rows * row_bytes} bytes of a strip or tile")
    if layout.predictor == FLOAT_DIFFERENCES:
        planes = np.frombuffer(raw, np.uint8, rows * row_bytes).reshape(rows, -1, depth).cumsum(axis=1, dtype=np.uint8)
        planes = planes.reshape(rows, layout.dtype.itemsize, -1).transpose(0, 2, 1)  # the highest bytes come first
        return np.ascontiguousarray(planes).view(layout.dtype.newbyteorder(">")).reshape(shape)
    values = np.frombuffer(raw, layout.dtype, rows * columns * depth).reshape(shape)
    if layout.predictor == DIFFERENCES:
        return values.cumsum(axis=1, dtype=layout.dtype.newbyteorder("="))
    return values


def _decompress(packed: bytes, compression: int, rows: int, row_bytes: int) -> bytes:
    """Decompress bytes; Pillow does it for what the standard library does not know, as if they were the pixels of a grey image."""
    if compression == PLAIN:
        return packed
    if compression in DEFLATE:
        try:
            return zlib.decompressobj().decompress(packed, rows * row_bytes)
        except zlib.error as error:
            raise ImageError(f"cut off or damaged: {error}") from error
    with Image.open(io.BytesIO(_grey_tiff(packed, compression, rows, row_bytes)), formats=["TIFF"]) as image:
        return image.tobytes()


def _grey_tiff(packed: bytes, compression: int, rows: int, columns: int) -> bytes:
    """Write a TIFF of 8-bit grey around compressed bytes."""
    tags = {
        WIDTH: columns,
        HEIGHT: rows,
        BITS: 8,
        259: compression,
        262: GREY,
        273: 0,
        277: 1,
        278: rows,
        279: len(packed),
    }
    tags[273] = 8 + 2 + 12 * len(tags) + 4
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + packed

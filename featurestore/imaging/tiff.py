"""The samples of TIFF files whose numbers Pillow loses or cannot read: above 8 bits, floating point, many bands."""

import io
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL import TiffImagePlugin as tag
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from featurestore.errors import ImageError
from featurestore.imaging.samples import Samples, check_bands

II = b"II"  # prefix of little-endian files
GREY_INVERTED, GREY, RGB = 0, 1, 2  # PhotometricInterpretation
PLAIN, LZW, DEFLATE, PACKBITS, LZMA, ZSTD = 1, 5, (8, 32946), 32773, 34925, 50000
COMPRESSIONS = (PLAIN, LZW, *DEFLATE, PACKBITS, LZMA, ZSTD)  # of bytes, whatever they mean
KINDS = {1: "u", 2: "i", 3: "f"}  # SampleFormat
PREMULTIPLIED, ALPHA, COREL_ALPHA = 1, 2, 999  # ExtraSamples; 0 is a channel of unknown meaning
DIFFERENCES, FLOAT_DIFFERENCES = 2, 3  # Predictor
STATED = ((340, 341), (280, 281))  # SMinSampleValue and SMaxSampleValue, MinSampleValue and MaxSampleValue
LARGEST = 4 << 30  # bytes of the channels that are read
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


def read_samples(
    data: bytes, tags: ImageFileDirectory_v2, bands: Sequence[int] | None, preview: bool = False
) -> Samples | None:
    """Read the samples of the first image: some bands (from 1), or its colours; None where Pillow is to read the file.

    Raises ImageError for bands whose meaning is unknown (for a `preview`, the first ones are read), for bands that are not there, and for
    a file that is cut off or damaged.
    """
    layout = _layout(tags)
    if layout is None or (bands is None and _is_plain(layout)):
        return None
    stated, inverted = _stated(tags, layout.dtype), layout.photometric == GREY_INVERTED
    if bands is not None:
        check_bands(bands, layout.samples)
        return Samples(_read(data, layout, [band - 1 for band in bands]), stated=stated, inverted=inverted)
    colours = 3 if layout.photometric == RGB else 1
    extra = range(layout.samples - len(layout.extra), layout.samples)  # the channels that ExtraSamples describes
    alpha = [(place, kind) for place, kind in zip(extra, layout.extra, strict=True) if kind in (PREMULTIPLIED, ALPHA)][
        :1
    ]
    left_out = ""
    if layout.samples > colours + len(alpha):
        if colours == 1 and not preview:
            raise ImageError(
                f"{layout.samples} bands; say which to read, three or one, when the encoder is made: featurestore train --bands 3,2,1 "
                "or featurestore export --bands 3,2,1; see docs/reference/inputs.md"
            )
        colours = 3 if layout.samples >= 3 else 1
        left_out = f"{layout.samples} channels, of which the first {colours} are read"
    values = _read(data, layout, [*range(colours), *(place for place, _ in alpha)])
    premultiplied = bool(alpha) and alpha[0][1] == PREMULTIPLIED
    return Samples(values, bool(alpha), premultiplied, stated, inverted, left_out)


def _layout(tags: ImageFileDirectory_v2) -> _Layout | None:
    """Read how the samples lie; None for palettes, other colour spaces, packed bits and compressions of pictures."""
    bits, kinds = set(tags.get(tag.BITSPERSAMPLE, (1,))), set(tags.get(tag.SAMPLEFORMAT, (1,)))
    photometric, compression = tags.get(tag.PHOTOMETRIC_INTERPRETATION, GREY_INVERTED), tags.get(tag.COMPRESSION, PLAIN)
    of_bytes = compression in COMPRESSIONS and tags.get(tag.FILLORDER, 1) == 1
    if not of_bytes or photometric not in (GREY_INVERTED, GREY, RGB) or len(bits) != 1 or len(kinds) != 1:
        return None
    [depth], [kind] = bits, kinds
    if depth not in (8, 16, 32, 64) or kind not in KINDS or (KINDS[kind], depth) == ("f", 8):
        return None
    tiled = tag.TILEWIDTH in tags
    width, height = int(tags[tag.IMAGEWIDTH]), int(tags[tag.IMAGELENGTH])
    strip = min(int(tags.get(tag.ROWSPERSTRIP, height)), height), width
    return _Layout(
        width=width,
        height=height,
        samples=int(tags.get(tag.SAMPLESPERPIXEL, 1)),
        dtype=np.dtype(f"{'<' if tags.prefix == II else '>'}{KINDS[kind]}{depth // 8}"),
        photometric=photometric,
        extra=tuple(tags.get(tag.EXTRASAMPLES, ())),
        compression=compression,
        predictor=tags.get(tag.PREDICTOR, 1),
        planar=tags.get(tag.PLANAR_CONFIGURATION, 1) == 2,
        chunk=(int(tags[tag.TILELENGTH]), int(tags[tag.TILEWIDTH])) if tiled else strip,
        tiled=tiled,
        offsets=tuple(tags[tag.TILEOFFSETS if tiled else tag.STRIPOFFSETS]),
        counts=tuple(tags[tag.TILEBYTECOUNTS if tiled else tag.STRIPBYTECOUNTS]),
    )


def _is_plain(layout: _Layout) -> bool:
    """Whether Pillow reads all of it as it is meant: 8 bits, grey or RGB, with nothing else than alpha."""
    extra = layout.samples - (3 if layout.photometric == RGB else 1)
    known = extra == 1 and layout.extra in ((PREMULTIPLIED,), (ALPHA,), (COREL_ALPHA,))
    return layout.dtype == np.uint8 and (extra == 0 or known)


def _stated(tags: ImageFileDirectory_v2, dtype: np.dtype[Any]) -> tuple[float, float] | None:
    """Give black and white as the tags say; the whole of the type, which many programs write without thinking, says nothing."""
    for low, high in STATED:
        if low in tags and high in tags:
            stated = float(np.min(tags[low])), float(np.max(tags[high]))
            whole = dtype.kind != "f" and stated == (np.iinfo(dtype).min, np.iinfo(dtype).max)
            return stated if stated[0] < stated[1] and np.isfinite(stated).all() and not whole else None
    return None


def _read(data: bytes, layout: _Layout, bands: Sequence[int]) -> NDArray[Any]:
    """Read some bands (from 0): (H, W, C) in the byte order of this machine."""
    need = layout.height * layout.width * len(bands) * layout.dtype.itemsize
    if need > LARGEST:
        raise ImageError(f"too large: {need:,} bytes of the channels that are read, the limit is {LARGEST:,}")
    values = np.zeros((layout.height, layout.width, len(bands)), layout.dtype.newbyteorder("="))
    if not layout.planar:
        for rows, columns, chunk in _chunks(data, layout, 0):
            values[rows, columns] = chunk[..., bands]
        return values
    for place, band in enumerate(bands):
        for rows, columns, chunk in _chunks(data, layout, band):
            values[rows, columns, place] = chunk[..., 0]
    return values


def _chunks(data: bytes, layout: _Layout, plane: int) -> Iterator[tuple[slice, slice, NDArray[Any]]]:
    """Yield the strips or tiles of a plane: the rows and columns that each covers, and its samples there, (rows, columns, C)."""
    rows, columns = layout.chunk
    if rows < 1 or columns < 1:
        raise ImageError("damaged, or of a kind without a decoder here: strips or tiles without pixels")
    down, across = range(0, layout.height, rows), range(0, layout.width, columns)
    first = plane * len(down) * len(across)
    if min(len(layout.offsets), len(layout.counts)) < first + len(down) * len(across):
        raise ImageError("cut off or damaged: fewer strips or tiles than the image needs")
    depth = 1 if layout.planar else layout.samples
    for number, (row, column) in enumerate(product(down, across), start=first):
        shape = (rows if layout.tiled else min(rows, layout.height - row), columns, depth)
        start = layout.offsets[number]
        chunk = _unpack(data[start : start + layout.counts[number]], layout, shape)
        chunk = chunk[: layout.height - row, : layout.width - column]  # tiles reach over the edge
        yield slice(row, row + len(chunk)), slice(column, column + chunk.shape[1]), chunk


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
        tag.IMAGEWIDTH: columns, tag.IMAGELENGTH: rows, tag.BITSPERSAMPLE: 8, tag.COMPRESSION: compression,
        tag.PHOTOMETRIC_INTERPRETATION: GREY, tag.STRIPOFFSETS: 0, tag.SAMPLESPERPIXEL: 1, tag.ROWSPERSTRIP: rows,
        tag.STRIPBYTECOUNTS: len(packed),
    }  # fmt: skip
    tags[tag.STRIPOFFSETS] = 8 + 2 + 12 * len(tags) + 4
    entries = b"".join(struct.pack("<HHII", number, 4, 1, value) for number, value in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + packed

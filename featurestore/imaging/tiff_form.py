"""How much memory a TIFF needs while it is decoded, by its tags, as `forms` tells for other formats."""

import struct
from collections.abc import Mapping

from featurestore.imaging.forms import DEEP, PLAIN, memory

TYPES = {3: "H", 4: "I"}  # of whole numbers: their codes in `struct`
WIDTH, HEIGHT, BITS, COMPRESSION, SAMPLES, ROWS, PLANAR, TILE_WIDTH, TILE_HEIGHT = (
    256, 257, 258, 259, 277, 278, 284, 322, 323
)  # fmt: skip
PLACES = (273, 279, 324, 325)  # first byte and length of strips and tiles
OF_RAW = (330, 50706)  # SubIFDs and DNGVersion: tags of camera RAW files
READ = (WIDTH, HEIGHT, BITS, COMPRESSION, SAMPLES, ROWS, PLANAR, TILE_WIDTH, TILE_HEIGHT)
BOUNDED = (1, 2, 3, 4, 5, 8, 32946, 32773)  # compressions: none, of fax, LZW, Deflate twice, PackBits
MOST_TAGS = 256
MOST_CHUNKS = 10_000  # strips or tiles; a tenth of a millisecond each, or four
MOST_SAMPLES = 512
CHUNK_BYTES = 64 << 20  # of a strip or tile, or as many as the image has


def tiff(data: bytes, shorter_side: int | None) -> int | None:
    tags = _tags(data)
    if tags is None or data[8:10] == b"CR":
        return None
    width, height, samples = tags.get(WIDTH, 0), tags.get(HEIGHT, 0), tags.get(SAMPLES, 1)
    bits, planes = tags.get(BITS, 1), samples if tags.get(PLANAR) == 2 else 1
    columns, rows = tags.get(TILE_WIDTH, width), tags.get(TILE_HEIGHT, min(tags.get(ROWS, height), height))
    if not (width and height and columns and rows and samples) or tags.get(COMPRESSION, 1) not in BOUNDED:
        return None
    chunks = -(-width // columns) * -(-height // rows) * planes
    pixel = samples * bits / 8 / planes
    if chunks > MOST_CHUNKS or columns * rows * pixel > max(CHUNK_BYTES, width * height * pixel):
        return None
    return memory(width, height, PLAIN + (DEEP * min(samples, 4) if bits > 8 else samples))


def _tags(data: bytes) -> Mapping[int, int] | None:
    """Read the tags that say how the pixels lie, of the bits of several channels the largest; None for what is odd, or of a RAW file."""
    order = "<" if data[:2] == b"II" else ">"
    tags: dict[int, int] = {}
    try:
        [start] = struct.unpack_from(f"{order}I", data, 4)
        [count] = struct.unpack_from(f"{order}H", data, start)
        if count > MOST_TAGS:
            return None
        for place in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, values, at = struct.unpack_from(f"{order}HHII", data, place)
            if tag in OF_RAW or (tag in PLACES and values > MOST_CHUNKS):
                return None
            if tag not in READ:
                continue
            if tag in tags or kind not in TYPES or not 1 <= values <= MOST_SAMPLES:
                return None
            code = f"{order}{values}{TYPES[kind]}"
            tags[tag] = max(struct.unpack_from(code, data, place + 8 if struct.calcsize(code) <= 4 else at))
    except struct.error:
        return None
    return tags

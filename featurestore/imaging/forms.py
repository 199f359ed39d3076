"""How much memory an image needs while it is decoded, by its form: JPEG, PNG, GIF, BMP, WebP, PPM and TGA.

Each function takes the bytes of an image and the shorter side that is wanted, reads them in a bounded number of steps, and gives a number of
bytes. None means that the form does not bound time and memory, so that only a decoder knows.
"""

import re
import struct

PLAIN = 12  # bytes a pixel of up to 8 bits a channel: as decoded, as RGB, and turned upright
DEEP = 24  # bytes a channel of more bits
CANVASES = 12  # bytes a pixel that the decoder of WebP holds besides
LINE = 64  # bytes a row, and a column of what is turned upright
COEFFICIENT = 2  # bytes a value that a decoder of JPEG keeps from scan to scan
MOST_PASSES = 1_000_000_000  # pixels times scans of a JPEG: about a second where the scans are empty
MOST_SEGMENTS, MOST_HEADER = 512, 8 << 20  # of a JPEG before its pixels: segments and bytes
MOST_CHUNKS = 128  # of a PNG, besides those with pixels
LEAST_CHUNK = 1024  # bytes of a PNG's chunk with pixels, on average
MOST_BLOCKS = 4096  # of a GIF before its first frame: 1 MB of comments
MOST_PARTS = 1024  # of a WebP, which are all found first, such as frames
FEW_PIXELS, FEW_BYTES = 65_536, 1 << 20  # which a decoder written in Python takes in less than a second

START_OF_SCAN, FILL = 0xDA, 0xFF
FRAMES = (0xC0, 0xC1, 0xC2)  # start of a JPEG's frame: baseline, extended, progressive
OTHER_FRAMES = frozenset(range(0xC3, 0xD0)) - {0xC4, 0xCC}  # lossless, hierarchical, arithmetic; the two are tables
PROGRESSIVE = 0xC2
DCT_SCALES = (8, 4, 2)
PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
PNM = re.compile(rb"P([1-6])\s+(?:#[^\r\n]{0,200}[\r\n]\s*){0,9}(\d{1,9})\s+(\d{1,9})(?:\s+(\d{1,5}))?\s")
PNM_HEAD = re.compile(rb"P(?:[0-6f]|yP|yRGBA|yCMYK)\s")
BMP_HEADERS, BMP_PLAIN = (12, 40, 52, 56, 64, 108, 124), (0, 3)  # the last: uncompressed, and so with masks
TGA_KINDS, TGA_DEPTHS = (1, 2, 3, 9, 10, 11), (1, 8, 16, 24, 32)


def memory(width: int, height: int, pixel: int) -> int:
    """Give the bytes of an image with so many bytes a pixel."""
    return width * height * pixel + (width + height) * LINE


def jpeg(data: bytes, shorter_side: int | None) -> int | None:
    frame = _jpeg_frame(data)
    if frame is None:
        return None
    kind, height, width, components = frame
    pixels, scans = width * height, data.count(b"\xff\xda")  # more than there are, if a segment holds a preview
    if not pixels or pixels * scans > MOST_PASSES:
        return None
    side = min(width, height)
    scale = next((scale for scale in DCT_SCALES if shorter_side and side >= scale * shorter_side), 1)
    kept = COEFFICIENT * components * pixels if kind == PROGRESSIVE or scans > 1 else 0
    return memory(width, height, PLAIN) // scale**2 + kept


def _jpeg_frame(data: bytes) -> tuple[int, int, int, int] | None:
    """Find the only frame before the first scan: its kind, height, width and components; None where the markers are odd."""
    place, frame, last = 2, None, min(len(data), MOST_HEADER) - 10
    for _ in range(MOST_SEGMENTS):
        if place > last or data[place] != FILL:
            return None
        marker = data[place + 1]
        if marker == START_OF_SCAN:
            return frame
        if marker == FILL:
            place += 1
            continue
        if marker in FRAMES and frame is None and data[place + 4] == 8:  # bits
            frame = (marker, *struct.unpack_from(">HHB", data, place + 5))
        elif marker in FRAMES or marker in OTHER_FRAMES:
            return None
        place += 2 + (data[place + 2] << 8 | data[place + 3])
    return None


def png(data: bytes, shorter_side: int | None) -> int | None:
    if len(data) < 33:
        return 0
    others, place = 0, 8
    for _ in range(MOST_CHUNKS + len(data) // LEAST_CHUNK):
        name = data[place + 4 : place + 8]
        others += name != b"IDAT"
        if name in (b"IEND", b"acTL") or len(name) < 4 or others > MOST_CHUNKS:
            break
        place += 12 + int.from_bytes(data[place : place + 4])
    else:
        return None
    if name == b"acTL" or others > MOST_CHUNKS:  # an animation
        return None
    width, height, depth, kind = struct.unpack_from(">IIBB", data, 16)
    return memory(width, height, DEEP * PNG_CHANNELS.get(kind, 4) if depth == 16 else PLAIN)


def gif(data: bytes, shorter_side: int | None) -> int | None:
    if len(data) < 13:
        return 0
    place = 13 + (2 << (data[10] & 7)) * 3 * (data[10] >> 7)  # behind the palette
    in_extension = False
    for _ in range(MOST_BLOCKS):
        if place + 9 > len(data):
            return 0
        first = data[place]
        if in_extension:
            in_extension, place = first != 0, place + 1 + first
        elif first == ord("!"):
            in_extension, place = True, place + 2
        elif first == ord(","):
            left, top, width, height = struct.unpack_from("<4H", data, place + 1)
            screen_width, screen_height = struct.unpack_from("<2H", data, 6)
            return memory(max(screen_width, left + width), max(screen_height, top + height), PLAIN)
        else:
            place += 1
    return None


def bmp(data: bytes, shorter_side: int | None) -> int | None:
    if len(data) < 34:
        return 0
    header = int.from_bytes(data[14:18], "little")
    if header == BMP_HEADERS[0]:
        width, height = struct.unpack_from("<HH", data, 18)
    else:
        width, height = struct.unpack_from("<ii", data, 18)
        if int.from_bytes(data[30:34], "little") not in BMP_PLAIN:
            return None
    return memory(abs(width), abs(height), PLAIN)


def webp(data: bytes, shorter_side: int | None) -> int | None:
    if len(data) < 30 or data[8:12] != b"WEBP":
        return 0
    match data[12:16]:
        case b"VP8 ":
            width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
        case b"VP8L":
            bits = int.from_bytes(data[21:25], "little")
            width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8X":
            if not _has_few_parts(data):
                return None
            width, height = (int.from_bytes(data[place : place + 3], "little") + 1 for place in (24, 27))
        case _:
            return 0
    return memory(width, height, PLAIN + CANVASES)


def _has_few_parts(data: bytes) -> bool:
    place = 12
    for _ in range(MOST_PARTS):
        size = int.from_bytes(data[place + 4 : place + 8], "little")
        place += 8 + size + size % 2
        if place >= len(data):
            return True
    return False


def pnm(data: bytes, shorter_side: int | None) -> int | None:
    if PNM_HEAD.match(data) is None:
        return 0
    found = PNM.match(data)
    if found is None:
        return None
    kind, width, height, most = (int(number or 255) for number in found.groups())
    is_raw = kind == 4 or (kind in (5, 6) and most == 255) or (kind, most) == (5, 65_535)
    if not is_raw and (width * height > FEW_PIXELS or len(data) > FEW_BYTES):
        return None
    return memory(width, height, PLAIN if most <= 255 else DEEP)


def tga(data: bytes, shorter_side: int | None) -> int | None:
    """A format without a signature, so that anything else also comes here."""
    if len(data) < 18 or data[1] > 1 or data[2] not in TGA_KINDS or data[16] not in TGA_DEPTHS:
        return 0
    width, height = struct.unpack_from("<HH", data, 12)
    return memory(width, height, PLAIN)

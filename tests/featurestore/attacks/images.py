"""Images that are made to take time or memory. Each function gives the bytes of one; see `image_attacks` for their sizes."""

import struct
import zlib

import numpy as np
from PIL import Image

from tests.featurestore.imaging.image_bytes import chunk, gif, psd, qoi, saved, tga, tiff, tiff_tags

SIDE = 13_000  # its square is just below the limit of pixels
SIGNATURE = b"\x89PNG\r\n\x1a\n"


# -- JPEG


def jpeg_of_scans(scans: int, side: int = 2000) -> bytes:
    """A progressive JPEG whose last scan, of nothing but empty blocks, is repeated."""
    data = saved(Image.new("L", (side, side), 128), "jpeg", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * scans + b"\xff\xd9"


def jpeg_of_segments(segments: int) -> bytes:
    """A JPEG that begins with many empty comments."""
    data = saved(Image.new("RGB", (16, 16)), "jpeg")
    return data[:2] + b"\xff\xfe\x00\x02" * segments + data[2:]


def jpeg_with_padding(size: int) -> bytes:
    data = saved(Image.new("RGB", (16, 16)), "jpeg")
    return data[:2] + b"\xff" * size + data[2:]


def jpeg_of_profiles(segments: int) -> bytes:
    data = saved(Image.new("RGB", (16, 16)), "jpeg")
    part = b"\xff\xe1" + struct.pack(">H", 65_000) + b"Exif\0\0" + bytes(64_992)
    return data[:2] + part * segments + data[2:]


def jpeg_of_size_65500(progressive: bool) -> bytes:
    """A JPEG as wide as can be."""
    return saved(Image.new("RGB", (65_500, 1_000)), "jpeg", progressive=progressive)


def jpeg_of_restarts() -> bytes:
    return saved(Image.new("RGB", (8000, 8000)), "jpeg", restart_marker_blocks=1)


# -- PNG


def packed_zeros(size: int) -> bytes:
    packer = zlib.compressobj(1)
    parts = [packer.compress(bytes(1 << 20)) for _ in range(size >> 20)]
    return b"".join([*parts, packer.compress(bytes(size & 0xFFFFF)), packer.flush()])


def png_of(width: int, height: int, depth: int, kind: int, channels: int, *before: bytes) -> bytes:
    rows = packed_zeros(height * (1 + width * channels * depth // 8))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
    return b"".join([SIGNATURE, header, *before, chunk(b"IDAT", rows), chunk(b"IEND", b"")])


def interlaced_png() -> bytes:
    """An interlaced PNG; its seven passes have more rows, so that it has bytes to spare."""
    data = bytearray(png_of(SIDE, SIDE, 16, 0, 1))
    data[24] = 8
    data[28] = 1
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    return bytes(data)


def png_of_chunks(chunks: int, name: bytes = b"tEXt", content: bytes = b"a\0b", behind: bool = False) -> bytes:
    small = png_of(16, 16, 8, 0, 1)
    many = chunk(name, content) * chunks
    return small[:-12] + many + small[-12:] if behind else small[:33] + many + small[33:]


def png_of_tiny_parts(parts: int) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 8, 0, 0, 0, 0))
    return SIGNATURE + header + chunk(b"IDAT", b"") * parts + chunk(b"IEND", b"")


def zipped_profile(size: int) -> bytes:
    return b"profile\0\0" + packed_zeros(size)


def apng(frames: int) -> bytes:
    images = [Image.new("L", (16, 16), n % 256) for n in range(frames)]
    return saved(images[0], "png", save_all=True, append_images=images[1:])


# -- GIF, WebP, AVIF


def gif_of_comments(size: int) -> bytes:
    data = gif(16, 16)
    comment = b"!\xfe" + (b"\xff" + bytes(255)) * (size // 256) + b"\0"
    return data[:19] + comment + data[19:]


def gif_of_frames(frames: int) -> bytes:
    data = gif(4, 4)
    return data[:19] + data[19:-1] * frames + data[-1:]


def large_gif() -> bytes:
    return saved(Image.new("L", (6000, 6000)), "gif")


def animation(kind: str, frames: int, side: int) -> bytes:
    images = [Image.new("RGB", (side, side), (n % 256, 0, 0)) for n in range(frames)]
    return saved(images[0], kind, save_all=True, append_images=images[1:], quality=0)


def webp_of_chunks(chunks: int) -> bytes:
    image = saved(Image.new("RGB", (16, 16)), "webp")[12:]
    many = b"ABCD\0\0\0\0" * chunks
    extended = b"VP8X" + struct.pack("<IB3x", 10, 0) + b"\x0f\0\0\x0f\0\0"
    body = b"WEBP" + extended + many + image
    return b"RIFF" + struct.pack("<I", len(body)) + body


# -- TIFF


def tiff_of_tile(side: int) -> bytes:
    """A TIFF of 16 x 16 pixels in one tile of `side` x `side`."""
    tags = {tag: value for tag, value in tiff_tags(16, 16).items() if tag not in (273, 278, 279)}
    data = packed_zeros(1 << 20)
    return tiff({**tags, 259: (8,), 322: (side,), 323: (side,), 324: (), 325: (len(data),)}, data)


def tiff_of_strips(height: int, deep: bool) -> bytes:
    """A TIFF of one pixel a row and one row a strip."""
    pixel = 6 if deep else 3
    tags = {
        **tiff_tags(1, height),
        258: (16 if deep else 8,) * 3,
        278: (1,),
        279: (pixel,) * height,
        273: (8,) * height,
    }
    return tiff(tags)


def tiff_of_pages(pages: int) -> bytes:
    page = tiff(tiff_tags(16, 16), bytes(768))
    return page[:4] + struct.pack("<I", 8) + page[8:] + bytes(4 * pages)


def tiff_of_tags(tags: int) -> bytes:
    entries = b"".join(struct.pack("<HHII", n, 4, 1, 1) for n in range(tags))
    return b"II*\0" + struct.pack("<IH", 8, tags) + entries + bytes(4)


def tiff_in_a_circle() -> bytes:
    data = bytearray(tiff(tiff_tags(16, 16), bytes(768)))
    [count] = struct.unpack_from("<H", data, 8)
    data[10 + 12 * count : 14 + 12 * count] = struct.pack("<I", 8)
    return bytes(data)


def tiny_tiles(side: int) -> bytes:
    """A TIFF whose tiles have one pixel, and hardly any of which are there."""
    tags = {tag: value for tag, value in tiff_tags(side, side).items() if tag not in (273, 278, 279)}
    return tiff({**tags, 258: (16, 16, 16), 322: (1,), 323: (1,), 324: (), 325: (6,)}, bytes(6))


def large_tiff(compression: str, mode: str) -> bytes:
    return saved(Image.new(mode, (6000, 6000)), "tiff", compression=compression)


# -- others


def bmp_of_runs(side: int) -> bytes:
    """A BMP packed by runs of 255 pixels, which Pillow unpacks in Python."""
    line = b"\xff\0" * (side // 255) + bytes([side % 255, 0, 0, 0])
    body = line * side + b"\0\1"
    header = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, len(body), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 54 + 1024 + len(body), 0, 0, 1078) + header + bytes(1024) + body


def ico_of(entries: int) -> bytes:
    image = saved(Image.new("RGBA", (16, 16)), "png")
    at = 6 + 16 * entries
    entry = struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(image), at)
    return struct.pack("<HHH", 0, 1, entries) + entry * entries + image


def ico_with(image: bytes) -> bytes:
    return struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(image), 22) + image


def psd_of(layers: int) -> bytes:
    layer = struct.pack(">iiiiH", 0, 0, 16, 16, 4) + struct.pack(">hI", 0, 2) * 4 + b"8BIMnorm\xff\0\0\0" + bytes(4)
    info = struct.pack(">h", min(layers, 32_767)) + layer * layers
    section = struct.pack(">I", len(info)) + info
    return psd(16, 16)[:34] + struct.pack(">I", len(section)) + section + b"\0\0" + bytes(768)


def large_psd() -> bytes:
    line = b"\x81\0" * (SIDE // 128 + 1)
    return psd(SIDE, SIDE)[:38] + b"\0\1" + struct.pack(">H", len(line)) * 3 * SIDE + line * 3 * SIDE


def tga_of_runs() -> bytes:
    data = bytearray(tga(SIDE, SIDE))
    data[2] = 10
    line = b"\xff\0\0\0" * (SIDE // 128) + bytes([0x7F + SIDE % 128, 0, 0, 0])
    return bytes(data) + line * SIDE


def ppm_of_comments(size: int) -> bytes:
    return b"P6\n#" + b"x" * size + b"\n2 2\n255\n" + bytes(12)


def deep_ppm(side: int) -> bytes:
    return b"P6 %d %d 65534\n" % (side, side) + bytes(6 * side * side)


def plain_ppm(side: int) -> bytes:
    return b"P3 %d %d 255\n" % (side, side) + b"0 " * (3 * side * side)


def large_qoi() -> bytes:
    return qoi(SIDE, SIDE, b"\xfe\0\0\0" + b"\xfd" * (SIDE * SIDE // 62 + 1))


def large_dds() -> bytes:
    """A DDS of BC7 blocks, of 16 bytes for 16 pixels."""
    side = SIDE // 4 * 4
    header = struct.pack("<7I44x", 124, 0x1007, side, side, 0, 1, 1) + struct.pack(
        "<II4s5I", 32, 4, b"DX10", 0, 0, 0, 0, 0
    )
    return (
        b"DDS "
        + header
        + struct.pack("<5I", 0x1000, 0, 0, 0, 0)
        + struct.pack("<5I", 98, 3, 0, 1, 0)
        + bytes(side * side)
    )


def jpeg_2000(side: int, **options: object) -> bytes:
    return saved(Image.new("RGB", (side, side)), "jpeg2000", **options)


def bytes_of_one(mode: str = "RGB") -> bytes:
    return saved(Image.fromarray(np.full((16, 16, 3), 200, np.uint8)).convert(mode), "png")

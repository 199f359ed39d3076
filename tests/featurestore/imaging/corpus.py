"""Awkward image files, drawn the same every time: cut, damaged, mislabelled, lying about their size, or merely rare.

The picture in most of them is 48 x 32 pixels: red, green, blue and white, one colour a quadrant.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, features

from tests.featurestore.imaging.image_bytes import (
    BLUE,
    FOUR,
    GREY,
    KINDS,
    RED,
    SIZE,
    WHITE,
    Colour,
    bmp,
    chunk,
    exif,
    gif,
    jpeg_of_size,
    noise,
    png,
    psd,
    qoi,
    quadrants,
    rubbish,
    saved,
    tga,
    tiff,
    tiff_tags,
)  # fmt: skip

CUT = "^(cut off or damaged: |damaged, or of a kind |not an image, )"
TOO_LARGE = "^too large: .*178,956,970 pixels"
NO_IMAGE = "^not an image, or of a format without a decoder here$"


@dataclass(frozen=True, slots=True)
class Expected:
    """What becomes of a file: upright pixels of a size and with these colours in its quadrants, or a failure."""

    size: tuple[int, int] | None = None
    colours: tuple[Colour, Colour, Colour, Colour] | None = None  # top left, top right, bottom left, bottom right
    reason: str | None = None  # a pattern; with a size as well: decoders may differ, and both are right


Case = tuple[str, bytes, Expected]


def write_corpus(folder: Path) -> dict[str, Expected]:
    """Write every file into a folder; returns what is to become of each, by name."""
    folder.mkdir(parents=True, exist_ok=True)
    expected = {}
    for name, data, outcome in corpus():
        (folder / name).write_bytes(data)
        expected[name] = outcome
    return expected


def corpus() -> Iterator[Case]:
    """Yield name, bytes and what is to become of them."""
    for group in (
        cut_files, wrong_names, no_images, signatures, empty_promises, shapes, modes, directions, broken_exif, profiles, animations, png_damage,
        jpeg_damage, flipped_bits, tiffs, gif_damage, rare_formats,
    ):  # fmt: skip
        yield from group()


def encodes(colours: Any = FOUR, size: tuple[int, int] = SIZE) -> Expected:
    return Expected(size, colours if isinstance(colours[0], tuple) else (colours,) * 4)


def fails(reason: str) -> Expected:
    return Expected(reason=reason)


# -- whole files, and files that are not


def cut_files() -> Iterator[Case]:
    for kind, (suffix, options) in KINDS.items():
        data = saved(noise(), kind, **options)
        for tenths in range(1, 10):
            yield f"cut-{kind}-{tenths}.{suffix}", data[: len(data) * tenths // 10], fails(CUT)
        yield f"whole-{kind}.{suffix}", saved(quadrants(), kind, **options), encodes()


def wrong_names() -> Iterator[Case]:
    suffixes = [suffix for suffix, _ in KINDS.values()]
    for (kind, (_, options)), suffix in zip(KINDS.items(), [*suffixes[2:], *suffixes[:2]], strict=True):
        yield f"really-{kind}.{suffix}", saved(quadrants(), kind, **options), encodes()


def no_images() -> Iterator[Case]:
    none = fails(NO_IMAGE)
    yield "nothing.jpg", b"", fails(r"^empty file \(0 bytes\)$")
    yield "one-byte.png", b"\x89", none
    yield "text.jpg", b"rose, tulip\n" * 50, none
    yield "page.png", b"<!DOCTYPE html><html><body>404 Not Found</body></html>", none
    yield "drawing.png", b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>', none
    yield "program.jpg", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n", none
    yield "document.tif", b"%PDF-1.7\n1 0 obj\n<< >>\nendobj\n", none
    yield "archive.gif", b"PK\x03\x04" + rubbish(200), none
    yield "zeros.bmp", bytes(4096), none
    yield "ones.jpg", b"\xff" * 4096, none
    yield "rubbish.webp", rubbish(4096), none
    yield "before.jpg", b"\r\n\r\n" + saved(quadrants(), "jpeg"), none


def signatures() -> Iterator[Case]:
    heads = {
        "jpeg.jpg": b"\xff\xd8\xff\xe0", "png.png": b"\x89PNG\r\n\x1a\n", "gif.gif": b"GIF89a", "bmp.bmp": b"BM", "tiff.tif": b"II*\0", "big-endian.tif": b"MM\0*",
        "webp.webp": b"RIFF\x10\0\0\0WEBPVP8 ", "jp2.jp2": b"\0\0\0\x0cjP  \r\n\x87\n", "codestream.j2k": b"\xff\x4f\xff\x51", "avif.avif": b"\0\0\0\x1cftypavif",
        "psd.psd": b"8BPS\0\x01", "qoi.qoi": b"qoif", "dds.dds": b"DDS ", "ico.ico": b"\0\0\1\0", "ppm.ppm": b"P6\n", "text.ppm": b"P3\n",
    }  # fmt: skip
    for number, (name, head) in enumerate(heads.items()):
        yield f"only-{name}", head, fails(CUT)
        yield f"then-rubbish-{name}", head + rubbish(600, seed=number), fails(f"{CUT}|{TOO_LARGE}")


# -- sizes


def empty_promises() -> Iterator[Case]:
    """Headers that promise 60,000 x 60,000 pixels, none at all, or many that do not follow."""
    makers: dict[str, Any] = {
        "png": lambda w, h: png(w, h, 8, 2, b""), "gif": lambda w, h: gif(w, h, frame=(w, h)), "bmp": bmp, "jpg": jpeg_of_size, "tga": tga, "psd": psd, "qoi": qoi,
        "tif": lambda w, h: tiff(tiff_tags(w, h, t279=(12,)), bytes(12)), "ppm": lambda w, h: b"P6 %d %d 255\n" % (w, h) + bytes(12),
    }  # fmt: skip
    for suffix, maker in makers.items():
        yield f"bomb.{suffix}", maker(60_000, 60_000), fails(TOO_LARGE)
        yield f"zero-width.{suffix}", maker(0, 32), fails(CUT)
        yield f"zero-height.{suffix}", maker(48, 0), fails(CUT)
        filled = suffix == "jpg"  # its decoder fills up with grey
        yield f"few-pixels.{suffix}", maker(3000, 2000), Expected((3000, 2000), None, CUT) if filled else fails(CUT)
    yield "largest.png", png(13_000, 13_000, 8, 0, b""), fails(CUT)


def shapes() -> Iterator[Case]:
    for kind in ("png", "jpeg", "gif", "bmp", "tiff", "webp"):
        suffix = KINDS[kind][0]
        yield f"dot-{kind}.{suffix}", saved(Image.new("RGB", (1, 1), RED), kind), encodes(RED, (1, 1))
    for kind in ("png", "jpeg"):
        for size in ((1, 20_000), (20_000, 1)):
            name = f"{'tall' if size[0] == 1 else 'wide'}-{kind}.{KINDS[kind][0]}"
            yield name, saved(Image.new("RGB", size, BLUE), kind), encodes(BLUE, size)
    yield "odd.jpg", saved(quadrants().resize((7, 13)), "jpeg", quality=95, subsampling=0), Expected((7, 13))


# -- pixels


def modes() -> Iterator[Case]:
    grey, clear = Image.new("L", SIZE, 128), quadrants("RGBA")
    clear.putalpha(Image.new("L", SIZE, 0))
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA"):
        colours = {"1": (WHITE), "L": GREY, "LA": GREY}.get(mode, FOUR)
        image = {"1": Image.new("1", SIZE, 1), "L": grey, "LA": grey.convert("LA")}.get(mode) or quadrants(mode)
        yield f"mode-{mode}.png", saved(image, "png"), encodes(colours)
    yield "clear.png", saved(clear, "png"), encodes(WHITE)
    yield "clear.webp", saved(clear, "webp", lossless=True), encodes(WHITE)
    yield "clear-palette.png", saved(Image.new("P", SIZE, 0), "png", transparency=0), encodes(WHITE)
    yield "half-palette.png", saved(Image.new("P", SIZE, 0), "png", transparency=b"\x80"), encodes((127, 127, 127))
    yield "clear-key.png", saved(Image.new("RGB", SIZE, RED), "png", transparency=RED), encodes(WHITE)
    yield "clear.gif", saved(Image.new("P", SIZE, 0), "gif", transparency=0), encodes(WHITE)
    rows = b"".join(b"\0" + struct.pack(">48H", *[0x8000] * 48) for _ in range(32))
    yield "grey-16-bit.png", png(*SIZE, 16, 0, rows), encodes(GREY)
    rows = b"".join(b"\0" + struct.pack(">144H", *[0xFF00, 0x8000, 0] * 48) for _ in range(32))
    yield "rgb-16-bit.png", png(*SIZE, 16, 2, rows), encodes((255, 128, 0))
    rows = b"".join(b"\0" + struct.pack(">192H", *[0xFFFF, 0, 0, 0xFFFF] * 48) for _ in range(32))
    yield "rgba-16-bit.png", png(*SIZE, 16, 6, rows), encodes(RED)
    yield "grey-2-bit.png", png(*SIZE, 2, 0, (b"\0" + b"\xaa" * 12) * 32), encodes((170, 170, 170))
    yield "no-palette.png", png(*SIZE, 8, 3, (b"\0" + b"\1" * 48) * 32), Expected(SIZE, None, CUT)
    yield "depth-of-3-bits.png", png(*SIZE, 3, 0, bytes(32 * 20)), fails(CUT)
    yield "grey.jpg", saved(grey, "jpeg"), encodes(GREY)
    cmyk = saved(quadrants("CMYK"), "jpeg", quality=95)
    yield "cmyk.jpg", cmyk, encodes()
    adobe = cmyk.index(b"Adobe")
    yield "ycck.jpg", cmyk[: adobe + 11] + b"\2" + cmyk[adobe + 12 :], Expected(SIZE)
    yield "no-adobe.jpg", cmyk.replace(b"Adobe", b"adobe"), Expected(SIZE)
    yield "rgb-components.jpg", saved(quadrants(), "jpeg", keep_rgb=True, quality=95), encodes()
    yield "arithmetic.jpg", saved(quadrants(), "jpeg").replace(b"\xff\xc0", b"\xff\xc9", 1), Expected(SIZE, None, CUT)
    twelve = saved(quadrants(), "jpeg").replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c", 1)
    yield "twelve-bits.jpg", twelve, fails(CUT)


# -- what is said beside the pixels


TURNED = {
    1: (0, 1, 2, 3), 2: (1, 0, 3, 2), 3: (3, 2, 1, 0), 4: (2, 3, 0, 1), 5: (0, 2, 1, 3), 6: (2, 0, 3, 1), 7: (3, 1, 2, 0), 8: (1, 3, 0, 2),
}  # fmt: skip


def directions() -> Iterator[Case]:
    for value in range(10):
        four = tuple(FOUR[place] for place in TURNED.get(value, TURNED[1]))
        expected = encodes(four, SIZE[::-1] if 5 <= value <= 8 else SIZE)
        for kind, options in (("jpeg", {"quality": 95}), ("png", {}), ("webp", {"lossless": True})):
            yield f"direction-{value}.{KINDS[kind][0]}", saved(quadrants(), kind, exif=exif(value), **options), expected
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="3"/></x:xmpmeta>'
    yield "direction-xmp.jpg", saved(quadrants(), "jpeg", quality=95, xmp=xmp), encodes(FOUR[::-1])
    after = saved(quadrants(), "png")
    yield "direction-behind.png", after[:-12] + chunk(b"eXIf", exif(3)[6:]) + after[-12:], encodes(FOUR[::-1])
    yield "direction-3.tif", tiff(tiff_tags(*SIZE, t274=(3,)), quadrants().tobytes()), encodes(FOUR[::-1])


def broken_exif() -> Iterator[Case]:
    blocks = {
        "empty": b"Exif\0\0", "rubbish": b"Exif\0\0" + rubbish(100), "far": b"Exif\0\0II*\0\xff\xff\xff\xff", "many": b"Exif\0\0II*\0\x08\0\0\0\xff\xff",
        "text": exif(0x74666C, kind=2), "double": exif(1, kind=12), "no-kind": exif(6, kind=99), "round": b"Exif\0\0II*\0\x08\0\0\0\0\0\x08\0\0\0",
        "half": exif(6)[:-8], "bare": b"rubbish", "huge-count": b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<HHHIII", 1, 0x0112, 3, 0xFFFFFFFF, 8, 0),
    }  # fmt: skip
    for name, block in blocks.items():
        for kind in ("jpeg", "png", "webp"):
            yield f"exif-{name}.{KINDS[kind][0]}", saved(quadrants(), kind, exif=block, quality=95), encodes()


def behind_header(chunks: bytes) -> bytes:
    """A PNG with these after its first chunk."""
    data = saved(quadrants(), "png")
    return data[:33] + chunks + data[33:]


def profiles() -> Iterator[Case]:
    yield "profile-3-megabytes.jpg", saved(quadrants(), "jpeg", quality=95, icc_profile=rubbish(3_000_000)), encodes()
    yield "profile-3-megabytes.webp", saved(quadrants(), "webp", lossless=True, icc_profile=bytes(3_000_000)), encodes()
    yield "profile-broken.png", saved(quadrants(), "png", icc_profile=b"no profile"), encodes()
    bomb = zlib.compress(bytes(80_000_000), 9)
    for name, head in {"iCCP": b"p\0\0", "zTXt": b"Comment\0\0", "iTXt": b"Comment\0\1\0\0\0"}.items():
        too_large = fails("^damaged, or of a kind .*too large")
        yield f"bomb-{name}.png", behind_header(chunk(name.encode(), head + bomb)), too_large
    yield "long-text.png", behind_header(chunk(b"tEXt", b"Comment\0" + b"x" * 900_000)), encodes()
    packed = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"x" * 900_000))
    yield "texts-without-end.png", behind_header(packed * 80), fails("^damaged, or of a kind .*Too much memory")
    yield "comments.jpg", saved(quadrants(), "jpeg", quality=95, comment=b"\xff" * 60_000), encodes()


def animations() -> Iterator[Case]:
    others = [Image.new("RGB", SIZE, GREY)] * 3
    for kind, suffix in (("gif", "gif"), ("webp", "webp"), ("png", "apng"), ("tiff", "tif")):
        options: dict[str, Any] = {"lossless": True} if kind == "webp" else {}
        data = saved(quadrants(), kind, save_all=True, append_images=others, **options)
        yield f"frames-{kind}.{suffix}", data, encodes()
        if kind != "tiff":
            yield f"frames-cut-{kind}.{suffix}", data[:-30], Expected(SIZE, FOUR, CUT)
    animated = saved(quadrants(), "png", save_all=True, append_images=others)
    yield "frames-broken.apng", animated.replace(b"acTL\0\0\0\4", b"acTL\0\0\0\0"), Expected(SIZE, FOUR, CUT)
    yield "stereo.jpg", saved(quadrants(), "mpo", save_all=True, append_images=others, quality=95), encodes()


# -- damage


def png_damage() -> Iterator[Case]:
    data = saved(quadrants(), "png")
    place = data.index(b"IDAT")
    length = struct.unpack(">I", data[place - 4 : place])[0]
    end = place + 4 + length
    yield "sum-of-pixels.png", data[:end] + b"\0\0\0\0" + data[end + 4 :], Expected(SIZE, FOUR, CUT)
    yield "sum-of-header.png", data[:29] + b"\0\0\0\0" + data[33:], fails(CUT)
    yield "no-end.png", data[:-12], encodes()
    yield "behind.png", data + rubbish(500), encodes()
    yield "no-pixels.png", data[: place - 4] + data[-12:], fails(CUT)
    yield "no-header.png", data[:8] + data[33:], fails(CUT)
    yield "two-headers.png", behind_header(data[8:33]), Expected(SIZE, FOUR, CUT)
    yield "unknown-chunk.png", behind_header(chunk(b"ruBb", rubbish(99))), encodes()
    yield "critical-chunk.png", behind_header(chunk(b"RUBB", rubbish(99))), Expected(SIZE, FOUR, CUT)
    yield "long-chunk.png", behind_header(b"\x7f\xff\xff\xfftEXt"), fails(CUT)
    yield "rubbish-pixels.png", data[: place + 4] + rubbish(length) + data[end:], fails(CUT)
    yield "filter-of-no-kind.png", png(*SIZE, 8, 0, (b"\x09" + b"\x80" * 48) * 32), Expected(SIZE, None, CUT)
    yield "too-many-rows.png", png(*SIZE, 8, 0, (b"\0" + b"\x80" * 48) * 99), encodes(GREY)
    yield "too-few-rows.png", png(*SIZE, 8, 0, (b"\0" + b"\x80" * 48) * 9), Expected(SIZE, None, CUT)


def jpeg_damage() -> Iterator[Case]:
    data = saved(quadrants(), "jpeg", quality=95)
    yield "behind.jpg", data + rubbish(2000), encodes()
    yield "twice.jpg", data + saved(Image.new("RGB", (9, 9)), "jpeg"), encodes()
    yield "no-end.jpg", data[:-2], Expected(SIZE, FOUR, CUT)
    tables = data.index(b"\xff\xc4")
    yield "no-tables.jpg", data[:tables] + data[data.index(b"\xff\xda") :], Expected(SIZE, None, CUT)
    yield "no-scan.jpg", data[: data.index(b"\xff\xda")] + b"\xff\xd9", fails(CUT)
    yield "no-frame.jpg", data.replace(b"\xff\xc0", b"\xff\xe9", 1), fails(CUT)
    yield "nine-components.jpg", data.replace(b"\x03\x01\x22", b"\x09\x01\x22", 1), fails(CUT)
    marked = saved(noise(), "jpeg", restart_marker_blocks=1)
    third = marked.index(b"\xff\xd2")
    size = Expected((64, 48), None, CUT)
    yield "restart-lost.jpg", marked[:third] + marked[third + 2 :], size
    yield "restart-wrong.jpg", marked[:third] + b"\xff\xd6" + marked[third + 2 :], size
    yield "restart-twice.jpg", marked[:third] + b"\xff\xd2" + marked[third:], size
    yield "restart-end.jpg", marked[:third] + b"\xff\xd9" + marked[third + 2 :], size


def flipped_bits() -> Iterator[Case]:
    """Single bits turned over in the compressed pixels: a picture of the same size, or a failure."""
    rng = np.random.default_rng(7)
    for kind in ("jpeg", "progressive", "png", "gif", "webp"):
        suffix, options = KINDS[kind]
        data = saved(noise(), kind, **options)
        for number in range(5):
            damaged = bytearray(data)
            damaged[rng.integers(len(data) * 2 // 3, len(data) - 20)] ^= 1 << int(rng.integers(8))
            yield f"bit-{kind}-{number}.{suffix}", bytes(damaged), Expected((64, 48), None, CUT)


def gif_damage() -> Iterator[Case]:
    yield "whole-by-hand.gif", gif(2, 2), encodes(RED, (2, 2))
    yield "frame-of-no-size.gif", gif(4, 4, frame=(0, 0)), Expected((4, 4), None, CUT)
    yield "frame-beyond.gif", gif(2, 2, frame=(40, 40)), Expected((40, 40), None, CUT)
    yield "frame-of-billions.gif", gif(2, 2, frame=(60_000, 60_000)), fails(f"{TOO_LARGE}|{CUT}")
    yield "no-frame.gif", gif(4, 4)[:19] + b"\x3b", fails(CUT)
    yield "code-size.gif", gif(2, 2).replace(b"\x02\x03\x04", b"\x63\x03\x04"), fails(CUT)


def tiffs() -> Iterator[Case]:
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        yield f"{compression}.tif", saved(quadrants(), "tiff", compression=compression), encodes()
    white = Image.new("1", SIZE, 1)
    for compression in ("group3", "group4"):
        yield f"{compression}.tif", saved(white, "tiff", compression=compression), encodes(WHITE)
    for mode in ("1", "L", "LA", "P", "RGBA", "CMYK"):
        image = white if mode == "1" else Image.new("L", SIZE, 128).convert(mode) if mode[0] == "L" else quadrants(mode)
        colours = WHITE if mode == "1" else GREY if mode[0] == "L" else FOUR
        yield f"mode-{mode}.tif", saved(image, "tiff"), encodes(colours)
    yield "mode-LAB.tif", saved(Image.new("LAB", SIZE, (128, 128, 128)), "tiff"), Expected(SIZE)
    yield "mode-YCbCr.tif", saved(quadrants("YCbCr"), "tiff"), Expected(SIZE)
    yield "grey-16-bit.tif", saved(Image.fromarray(np.full(SIZE[::-1], 0x8000, np.uint16)), "tiff"), encodes(GREY)
    yield "grey-32-bit.tif", saved(Image.fromarray(np.full(SIZE[::-1], 0x8000, np.int32)), "tiff"), encodes(GREY)
    ramp = np.zeros(SIZE[::-1], np.float32)
    ramp[:, 24:] = 1e30  # below 2^100
    yield "float.tif", saved(Image.fromarray(ramp), "tiff"), encodes(((0, 0, 0), (201, 201, 201)) * 2)
    yield (
        "float-nan.tif",
        saved(Image.fromarray(np.full(SIZE[::-1], np.nan, np.float32)), "tiff"),
        fails("^no value of the image is a finite number$"),
    )
    yield "big.tif", saved(quadrants(), "tiff", big_tiff=True), encodes()
    yield "big-endian.tif", tiff(tiff_tags(*SIZE), quadrants().tobytes(), order=">"), encodes()
    tiles = [bytes(colour) * 256 for colour in FOUR]
    tags = {tag: v for tag, v in tiff_tags(32, 32).items() if tag not in (273, 278, 279)}
    tiled = {**tags, 322: (16,), 323: (16,), 324: (), 325: (768,) * 4}
    yield "tiled.tif", tiff(tiled, *tiles), encodes(FOUR, (32, 32))
    yield "tiles-missing.tif", tiff({**tiled, 324: (10_000_000,) * 4}, *tiles), fails(CUT)
    yield "tiles-of-no-size.tif", tiff({**tiled, 322: (0,), 323: (0,)}, *tiles), fails(CUT)
    pixels = quadrants().tobytes()
    yield "unknown-compression.tif", tiff(tiff_tags(*SIZE, t259=(65_000,)), pixels), fails(CUT)
    yield "many-samples.tif", tiff(tiff_tags(*SIZE, t277=(60_000,)), pixels), fails(CUT)
    yield "seven-bits.tif", tiff(tiff_tags(*SIZE, t258=(7, 7, 7)), pixels), fails(CUT)
    yield "strips-without-end.tif", tiff(tiff_tags(*SIZE, t279=(0xFFFFFFFF,)), pixels), Expected(SIZE, None, CUT)
    yield "no-tags.tif", tiff({}), fails(CUT)
    yield "round.tif", b"II*\0\x08\0\0\0\0\0\x08\0\0\0", fails(CUT)
    rubbish_lzw = tiff(tiff_tags(*SIZE, t259=(5,), t279=(600,)), rubbish(600))
    yield "rubbish-lzw.tif", rubbish_lzw, Expected(SIZE, None, CUT)


# -- rare formats


def rare_formats() -> Iterator[Case]:
    square = quadrants().resize((32, 32), Image.Resampling.NEAREST)
    yield "icon.ico", saved(square, "ico", sizes=[(32, 32)]), encodes(size=(32, 32))
    yield "icon-of-none.ico", b"\0\0\1\0\0\0", fails(CUT)
    yield "icon-far.ico", b"\0\0\1\0\1\0" + struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, 99, 99_999), fails(CUT)
    yield "plain.tga", saved(quadrants(), "tga"), encodes()
    yield "packed.tga", saved(quadrants(), "tga", compression="tga_rle"), encodes()
    yield "plain.ppm", saved(quadrants(), "ppm"), encodes()
    red_blue = encodes((RED, BLUE, RED, BLUE), (2, 1))
    yield "written-out.ppm", b"P3\n# words\n2 1\n255\n255 0 0  0 0 255\n", red_blue
    yield "sixteen-bits.ppm", b"P6 2 1 65535\n" + struct.pack(">6H", 65_535, 0, 0, 0, 0, 65_535), red_blue
    yield "words.ppm", b"P3\n2 1\n255\nred blue\n", fails(CUT)
    yield "grey.pgm", saved(Image.new("L", SIZE, 128), "ppm"), encodes(GREY)
    yield "bits.pbm", b"P1 2 1\n0 0\n", encodes(WHITE, (2, 1))
    yield "plain.qoi", qoi(4, 4, b"\xfe\xff\0\0" + b"\xce"), encodes(RED, (4, 4))
    yield "plain.dds", saved(quadrants(), "dds"), encodes()
    yield "header-only.psd", psd(48, 32), fails(CUT)
    brand = struct.pack(">I", 24) + b"ftypheic\0\0\0\0mif1heic" + struct.pack(">I", 8) + b"mdat"
    yield "phone.heic", brand, fails(f"^HEIC: needs the package pi-heif: pip install 'featurestore.heic.'$|{CUT}")
    yield "phone.avif", brand.replace(b"heic", b"avif"), fails(CUT)
    if features.check("jpg_2000"):
        data = saved(quadrants(), "jpeg2000")
        yield "plain.jp2", data, encodes()
        yield "half.jp2", data[: len(data) // 2], Expected(SIZE, None, CUT)
    if features.check("avif"):
        yield "plain.avif", saved(quadrants(), "avif", quality=90, subsampling="4:4:4"), encodes()

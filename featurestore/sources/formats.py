"""What a file is, by its name or its first bytes."""

import re

IMAGE_SUFFIXES = frozenset([
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".gif", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".ppm", ".pgm", ".pbm",
    ".pnm", ".jp2", ".j2k", ".avif", ".heic", ".heif", ".ico", ".tga", ".dds", ".qoi", ".psd",
])  # fmt: skip
SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*")  # JPEG, PNG, GIF, BMP, TIFF twice
HEAD = 12  # bytes that `starts_as_image` looks at
CONTAINERS = (".tar", ".parquet", ".arrow")  # with images within, each at a "::" of its own
CONTAINER_SUFFIX = f"(?:{'|'.join(map(re.escape, CONTAINERS))})"  # as a pattern, in Python and in SQL
LISTS = (".txt", ".lst")
PACKED = (".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz", ".zst", ".zip", ".7z", ".rar")  # no image can be read alone


def suffix(name: str) -> str:
    """The suffix of a file name, ".jpg" of "a.b.JPG"; empty when there is none."""
    stem, dot, last = name.rpartition(".")
    return dot + last.lower() if stem else ""


def is_image_name(name: str) -> bool:
    return suffix(name) in IMAGE_SUFFIXES


def starts_as_image(head: bytes) -> bool:
    """Whether a file without a suffix begins as images do; LICENSE and Makefile do not."""
    return head.startswith(SIGNATURES) or head[4:8] == b"ftyp" or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")

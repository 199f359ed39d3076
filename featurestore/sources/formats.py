"""Tell what a file is by its name or its first bytes."""

import re

IMAGE_SUFFIXES = frozenset([
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".gif", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".ppm", ".pgm", ".pbm",
    ".pnm", ".jp2", ".j2k", ".avif", ".heic", ".heif", ".ico", ".tga", ".dds", ".qoi", ".psd",
])  # fmt: skip
SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*")  # JPEG, PNG, GIF, BMP, TIFF twice
HEAD = 12  # bytes that `starts_as_image` needs
CONTAINERS = (".tar", ".parquet", ".arrow")  # an image in one has the path FILE::MEMBER
CONTAINER_SUFFIX = f"(?:{'|'.join(map(re.escape, CONTAINERS))})"  # a regular expression, for Python and for SQL
LISTS = (".txt", ".lst")
# Single images cannot be read from these.
PACKED = (".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz", ".zst", ".zip", ".7z", ".rar")


def suffix(name: str) -> str:
    """Return the suffix of a file name in lower case, ".jpg" of "a.b.JPG"; empty when there is none."""
    stem, dot, last = name.rpartition(".")
    return dot + last.lower() if stem else ""


def is_image_name(name: str) -> bool:
    """Return whether a file name has the suffix of an image."""
    return suffix(name) in IMAGE_SUFFIXES


def starts_as_image(head: bytes) -> bool:
    """Return whether the first bytes of a file are those of an image: for files without a suffix, such as LICENSE."""
    return head.startswith(SIGNATURES) or head[4:8] == b"ftyp" or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")

"""Tell what a file is by its name or its first bytes."""

import importlib.util
import re

ALWAYS = frozenset([
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".gif", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".ppm", ".pgm", ".pbm",
    ".pnm", ".jp2", ".j2k", ".avif", ".ico", ".tga", ".dds", ".qoi", ".psd",
])  # fmt: skip
RAW_SUFFIXES = (
    ".cr2", ".cr3", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".dng", ".orf", ".rw2", ".raf", ".pef", ".srw", ".rwl", ".3fr", ".iiq",
)  # fmt: skip
# Images that need a package which is not installed by default: the package, and the extra of featurestore that installs it.
NEEDS: dict[str, tuple[str, str]] = {
    **dict.fromkeys((".heic", ".heif"), ("pi-heif", "heic")),
    **dict.fromkeys(RAW_SUFFIXES, ("rawpy", "raw")),
    ".jxl": ("pillow-jxl-plugin", "jxl"),
}
# What can be imported when an extra, or another package as good, is installed.
DECODERS: dict[str, tuple[str, ...]] = {
    "heic": ("pi_heif", "pillow_heif"),
    "raw": ("rawpy",),
    "jxl": ("pillow_jxl",),
}
SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*")  # JPEG, PNG, GIF, BMP, TIFF twice
HEAD = 12  # bytes that `starts_as_image` needs
CONTAINERS = (".tar", ".parquet", ".arrow")  # an image in one has the path FILE::MEMBER
CONTAINER_SUFFIX = f"(?:{'|'.join(map(re.escape, CONTAINERS))})"  # a regular expression, for Python and for SQL
LISTS = (".txt", ".lst")
TABLES = (".csv", ".tsv", ".json", ".jsonl")  # of labels or other columns; never a source
# Single images cannot be read from these.
PACKED = (".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz", ".zst", ".zip", ".7z", ".rar")


def decoder(extra: str) -> str | None:
    """Return the name of the module that decodes the images of an extra, or None when it is not installed."""
    return next((name for name in DECODERS[extra] if importlib.util.find_spec(name) is not None), None)


IMAGE_SUFFIXES = ALWAYS | {suffix for suffix, (_, extra) in NEEDS.items() if decoder(extra) is not None}


def suffix(name: str) -> str:
    """Return the suffix of a file name in lower case, ".jpg" of "a.b.JPG"; empty when there is none."""
    stem, dot, last = name.rpartition(".")
    return dot + last.lower() if stem else ""


def is_image_name(name: str) -> bool:
    """Return whether a file name has the suffix of an image that can be decoded here."""
    return suffix(name.rstrip()) in IMAGE_SUFFIXES


def starts_as_image(head: bytes) -> bool:
    """Return whether the first bytes of a file are those of an image: for files without a suffix, such as LICENSE."""
    return head.startswith(SIGNATURES) or head[4:8] == b"ftyp" or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")

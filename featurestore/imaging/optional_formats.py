"""Formats that need a package which may be missing: found by the first bytes, registered with Pillow on first use."""

import importlib
from functools import cache

from featurestore.errors import ImageError
from featurestore.sources.formats import NEEDS, decoder

HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx")
GENERAL_BRANDS = (b"mif1", b"msf1")  # of HEIC and of AVIF; the brands that follow say which
JXL_HEADS = (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")
NAMES = {"heic": "HEIC", "jxl": "JPEG XL", "raw": "camera RAW"}
PACKAGES = {extra: package for package, extra in NEEDS.values()}


def extra_of(data: bytes) -> str | None:
    """Return the extra that an image needs, by its first bytes: "heic" or "jxl"; None for one that needs none."""
    if data.startswith(JXL_HEADS):
        return "jxl"
    if data[4:8] != b"ftyp":
        return None
    brands = data[8 : min(int.from_bytes(data[:4], "big"), 256)]
    is_heic = brands[:4] in HEIC_BRANDS or (brands[:4] in GENERAL_BRANDS and any(b in brands for b in HEIC_BRANDS))
    return "heic" if is_heic else None


def require(extra: str) -> str:
    """Return the module that decodes images of an extra. Raises ImageError that names its package when it is missing."""
    module = decoder(extra)
    if module is None:
        raise ImageError(f"{NAMES[extra]}: needs the package {PACKAGES[extra]}: pip install 'featurestore[{extra}]'")
    return module


@cache
def register(extra: str) -> None:
    """Make Pillow open images of an extra. Raises ImageError when its package is missing."""
    module = importlib.import_module(require(extra))  # of JPEG XL registers itself
    if extra == "heic":
        module.register_heif_opener()

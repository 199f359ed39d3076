"""Parts of tars with any values, and what a file of a stranger lists."""

import io
import tarfile
from pathlib import Path

from PIL import Image

from featurestore.errors import ImageError
from featurestore.sources import Failure, find, read

BUFFER = io.BytesIO()
Image.new("RGB", (8, 8), (255, 0, 0)).save(BUFFER, "PNG")
PNG = BUFFER.getvalue()
END = bytes(1024)


def header(name: bytes, size: bytes | int, kind: bytes = b"0", link: bytes = b"") -> bytes:
    """A tar header with any values."""
    block = bytearray(tarfile.TarInfo("x").tobuf(tarfile.USTAR_FORMAT))
    block[0:100] = name[:100].ljust(100, b"\0")
    block[124:136] = b"%011o\0" % size if isinstance(size, int) else size
    block[156:157], block[157:257] = kind, link.ljust(100, b"\0")
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def member(name: bytes, data: bytes = PNG, kind: bytes = b"0") -> bytes:
    return header(name, len(data), kind) + data + bytes(-len(data) % 512)


def listed(file: Path, *parts: bytes) -> tuple[list[str], list[str]]:
    """Write a file and list it: the paths of its images, all of which can be read or say why not, and the reasons of failures."""
    file.write_bytes(b"".join(parts))
    images, reasons = [], []
    for entry in find(file):
        if isinstance(entry, Failure):
            reasons.append(entry.reason)
        else:
            images.append(entry.path.removeprefix(f"{file}::"))
            try:
                read(entry.path)
            except ImageError as error:
                reasons.append(str(error))
    return images, reasons

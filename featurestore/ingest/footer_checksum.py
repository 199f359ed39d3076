"""A checksum of the footer of a Parquet file. Pages have their own; the footer, which says where they are and what they mean, has none.

It lies between the last page and the footer, where other readers do not look.
"""

import hashlib
import os
from typing import BinaryIO

MARK = b"featurestore SHA-256 of footer: "
DIGEST_BYTES = 32
END_BYTES = 8  # the size of the footer, and "PAR1"


def add_footer_checksum(file: BinaryIO) -> None:
    """Put a checksum before the footer of a complete Parquet file that is open for reading and writing."""
    start, footer = _footer(file)
    file.seek(start)
    file.write(MARK + hashlib.sha256(footer).digest() + footer)


def is_footer_damaged(file: BinaryIO) -> bool:
    """Whether a Parquet file has a checksum of its footer that does not match; a file of another program has none."""
    start, footer = _footer(file)
    file.seek(max(0, start - DIGEST_BYTES - len(MARK)))
    mark, digest = file.read(len(MARK)), file.read(DIGEST_BYTES)
    return mark == MARK and digest != hashlib.sha256(footer).digest()


def _footer(file: BinaryIO) -> tuple[int, bytes]:
    """Read the footer with the end of the file, and where it starts."""
    end = file.seek(-END_BYTES, os.SEEK_END)
    start = max(0, end - int.from_bytes(file.read(4), "little"))
    file.seek(start)
    return start, file.read()

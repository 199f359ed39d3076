"""Camera RAW files, developed by the package rawpy where it is installed."""

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

HEADS = (b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FUJIFILMCCD-RAW")  # of Olympus, Panasonic and Fujifilm
DNG_VERSION, MAKE, SUBFILE_TYPE, SUB_IFDS, REDUCED = 50706, 271, 254, 330, 1
QUARTER_TURNS = (5, 6)  # values of LibRaw's flip


def starts_as_raw(data: bytes) -> bool:
    """Whether a file starts as a RAW file that is not a TIFF, or one of Canon's."""
    return data.startswith(HEADS) or data[8:10] == b"CR" or data[4:12] == b"ftypcrx "


def is_raw(tags: "ImageFileDirectory_v2") -> bool:
    """Whether a TIFF is a RAW file: a DNG, or a camera's file that begins with a small preview."""
    return DNG_VERSION in tags or (MAKE in tags and SUB_IFDS in tags and tags.get(SUBFILE_TYPE) == REDUCED)


def develop(data: bytes, shorter_side: int | None) -> tuple[Image.Image, int, int]:
    """Develop a RAW file with the camera's white balance: an upright RGB image, and width and height of the full one.

    An image that is at least twice as large as needed is developed at half its size, four times as fast.
    """
    import rawpy  # an optional package; the caller has checked that it is there

    with rawpy.imread(io.BytesIO(data)) as raw:
        width, height = raw.sizes.width, raw.sizes.height
        if raw.sizes.flip in QUARTER_TURNS:
            width, height = height, width
        half = shorter_side is not None and min(width, height) >= 2 * shorter_side
        pixels: Any = raw.postprocess(use_camera_wb=True, half_size=half)
    return Image.fromarray(np.asarray(pixels, np.uint8)), width, height


def size_of(data: bytes) -> tuple[int, int]:
    """Read width and height in pixels, as stored."""
    import rawpy  # as above

    with rawpy.imread(io.BytesIO(data)) as raw:
        return raw.sizes.width, raw.sizes.height

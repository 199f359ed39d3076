"""Open the bytes of an image with Pillow: which formats, how many pixels, and what is said about damaged ones."""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, UnidentifiedImageError

from featurestore.errors import ImageError
from featurestore.imaging import optional_formats
from featurestore.system.read_errors import check_open_files
from featurestore.system.text import describe_error, one_line

MAX_PIXELS = 178_956_970  # above this Pillow itself refuses; a 108-megapixel phone photo passes

# Formats that are tried, the common ones first; TGA comes last since it has no signature. Pillow's other formats are not
# used: EPS, for one, would run the file as a program in Ghostscript, whatever its name.
FORMATS = (
    "JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF", "HEIF", "ICO", "DDS", "QOI", "PSD", "DIB", "JXL", "TGA",
)  # fmt: skip

# Formats that Pillow registers at once, by their first bytes: they are opened without loading its other plugins, which takes long.
FIRST = ((b"\xff\xd8\xff", "JPEG"), (b"\x89PNG\r\n\x1a\n", "PNG"), (b"GIF8", "GIF"), (b"BM", "BMP"))

# Pillow warns from half of its limit on; an image up to the limit is decoded, a larger one is refused with a reason.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
# Pillow also warns about each broken EXIF block; the image is decoded all the same.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
# What Pillow logs about a damaged file is in the reason; without a handler, logging would print it.
logging.getLogger("PIL").addHandler(logging.NullHandler())


@contextmanager
def opened(data: bytes) -> Iterator[Image.Image]:
    """Open the bytes of an image; any error until it is closed becomes an ImageError with the reason."""
    if not data:
        raise ImageError("empty file (0 bytes)")
    with reasons(), Image.open(io.BytesIO(data), formats=_formats(data)) as image:
        check_size(*image.size)
        yield image


def _formats(data: bytes) -> list[str]:
    """Return the formats to try. Raises ImageError for one whose package is missing."""
    first = next((name for head, name in FIRST if data.startswith(head)), None)
    if first is not None:
        return [first]
    Image.init()
    if extra := optional_formats.extra_of(data):
        optional_formats.register(extra)
    return [name for name in FORMATS if name in Image.OPEN]


def check_size(width: int, height: int) -> None:
    """Raise ImageError for an image of too many pixels."""
    if width * height > MAX_PIXELS:
        raise ImageError(f"too large: {width} x {height} pixels, the limit is {MAX_PIXELS:,} pixels")


@contextmanager
def reasons() -> Iterator[None]:
    """Turn any error into an ImageError with the reason. Raises TooManyOpenFiles."""
    try:
        yield
    except ImageError:
        raise
    except Exception as error:
        check_open_files(error)  # a decoder may be loaded only now
        raise ImageError(_damage(error)) from error


def _damage(error: Exception) -> str:
    """Say in a few words why bytes could not be decoded: plugins of Pillow raise nearly everything for damaged ones."""
    text = one_line(error)
    match error:
        case UnidentifiedImageError():
            return "not an image, or of a format without a decoder here"
        case Image.DecompressionBombError():
            return f"too large: more than the limit of {MAX_PIXELS:,} pixels"
        case MemoryError():
            return describe_error(error)
        case OSError() if "out of memory" in text:
            return describe_error(MemoryError())
        case OSError() if "truncated" in text.lower() or "broken data" in text or "unrecognized data" in text:
            return f"cut off or damaged: {text}"
    return f"damaged, or of a kind without a decoder here: {text}"

"""Decode the bytes of an image to upright RGB pixels. The only decoder of the project."""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from PIL import Image, UnidentifiedImageError

from featurestore.errors import ImageError
from featurestore.system.text import describe_error, one_line

MAX_PIXELS = 178_956_970  # above this Pillow itself refuses; a 108-megapixel phone photo passes

# Formats that are tried, the common ones first; TGA comes last since it has no signature. Pillow's other formats are not
# used: EPS, for one, would run the file as a program in Ghostscript, whatever its name.
FORMATS = (
    "JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF", "HEIF", "ICO", "DDS", "QOI", "PSD", "DIB", "TGA",
)  # fmt: skip

# The operation that turns an image upright, by its EXIF orientation (CIPA DC-008, 4.6.5).
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
QUARTER_TURNS = (TURNS[5], TURNS[6], TURNS[7], TURNS[8])

# Pillow warns from half of its limit on; an image up to the limit is decoded, a larger one is refused with a reason.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
# Pillow also warns about each broken EXIF block; the image is decoded all the same.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
# What Pillow logs about a damaged file is in the reason; without a handler, logging would print it.
logging.getLogger("PIL").addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class Decoded:
    """An upright RGB image, which may be reduced; `width` and `height` are those of the full image, upright."""

    image: Image.Image
    width: int
    height: int


def decode(data: bytes, shorter_side: int | None = None) -> Decoded:
    """Decode the bytes of an image to upright 8-bit RGB.

    A JPEG is decoded at the smallest DCT scale whose shorter side is still at least `shorter_side` pixels. The first
    frame of an animation counts; transparency is laid over white; 16-bit grey keeps its upper eight bits; floating-point
    grey is stretched from its own minimum to its maximum. Raises ImageError with the reason.
    """
    with _opened(data) as image:
        width, height = image.size
        if shorter_side is not None:
            scale = shorter_side / min(width, height)
            image.draft("RGB", (max(1, round(width * scale)), max(1, round(height * scale))))
        reduced = image.size != (width, height)
        rgb, turned = _upright_rgb(image)
    if not reduced:
        return Decoded(rgb, *rgb.size)
    return Decoded(rgb, *((height, width) if turned else (width, height)))


def size_of(data: bytes) -> tuple[int, int]:
    """Read width and height in pixels, as stored, without decoding. Raises ImageError with the reason."""
    with _opened(data) as image:
        return image.size


@contextmanager
def _opened(data: bytes) -> Iterator[Image.Image]:
    """Open the bytes of an image; any error until it is closed becomes an ImageError with the reason."""
    if not data:
        raise ImageError("empty file (0 bytes)")
    try:
        Image.init()
        known = [name for name in FORMATS if name in Image.OPEN]
        with Image.open(io.BytesIO(data), formats=known) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise ImageError(f"too large: {width} x {height} pixels, the limit is {MAX_PIXELS:,} pixels")
            yield image
    except ImageError:
        raise
    except Exception as error:
        raise ImageError(_damage(error)) from error


def upright(image: Image.Image) -> Decoded:
    """Turn a PIL image to upright 8-bit RGB. Raises ImageError with the reason."""
    try:
        rgb, _ = _upright_rgb(image)
    except Exception as error:  # Pillow reads the pixels of an opened file only now
        raise ImageError(_damage(error)) from error
    return Decoded(rgb, *rgb.size)


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
        case OSError() if "truncated" in text.lower() or "broken data" in text or "unrecognized data" in text:
            return f"cut off or damaged: {text}"
    return f"damaged, or of a kind without a decoder here: {text}"


def _upright_rgb(image: Image.Image) -> tuple[Image.Image, bool]:
    """Return an image as upright RGB, and whether width and height were swapped."""
    image.load()  # first: a PNG may store its orientation behind its pixels
    turn = TURNS.get(_orientation(image))
    rgb = to_rgb(image)
    return (rgb, False) if turn is None else (rgb.transpose(turn), turn in QUARTER_TURNS)


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 when there is none."""
    try:
        return int(image.getexif().get(0x0112, 1))
    except Exception:  # of a broken EXIF block
        return 1


def to_rgb(image: Image.Image) -> Image.Image:
    """Turn an image of any Pillow mode into 8-bit RGB; transparency is laid over white."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode == "I":
        return Image.fromarray((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        values = np.nan_to_num(np.asarray(image)).astype(np.float64)  # float32 may not hold the difference of two
        values -= values.min()
        values *= 255 / (float(values.max()) or 1.0)
        return Image.fromarray(values.astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")

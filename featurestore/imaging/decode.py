"""Decode the bytes of an image to upright RGB pixels. The only decoder of the project."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from featurestore.imaging import camera_raw, deep_png, optional_formats
from featurestore.imaging.opening import check_size, opened, reasons
from featurestore.imaging.samples import Samples, select, to_rgb

if TYPE_CHECKING:
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

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
ORIENTATION = 0x0112  # the tag of EXIF and TIFF
TIFF_HEADS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the last two are BigTIFF
WIDTH, HEIGHT, BITS = 256, 257, 258  # tags of TIFF
STRIP = 1 << 22  # pixels that are laid over white at a time
PLAIN_MODES = ("L", "LA", "RGB", "RGBA")  # whose channels are bands as they are


@dataclass(frozen=True, slots=True)
class Decoded:
    """An upright RGB image, which may be reduced; `width` and `height` are those of the full image, upright."""

    image: Image.Image
    width: int
    height: int
    how: str = ""  # in a few words, where values were scaled or channels left out


def decode(
    data: bytes, shorter_side: int | None = None, bands: Sequence[int] | None = None, preview: bool = False
) -> Decoded:
    """Decode the bytes of an image to upright 8-bit RGB.

    A JPEG is decoded at the smallest DCT scale whose shorter side is still at least `shorter_side` pixels. The first frame of an
    animation counts; transparency is laid over white; more than 8 bits are scaled as `samples.scale` says. `bands`, from 1, are read
    where they are given, three as colours or one as grey; without them, bands that have no meaning are refused, unless for a `preview`,
    which shows the first ones. Raises ImageError with the reason.
    """
    with reasons():
        tags = _tiff_tags(data)
        if _is_raw(data, tags):
            optional_formats.require("raw")
            return Decoded(*camera_raw.develop(data, shorter_side))
        if tags is not None and (decoded := _tiff(data, tags, bands, preview)) is not None:
            return decoded
    with opened(data) as image:
        width, height = image.size
        if shorter_side is not None:
            scale = shorter_side / min(width, height)
            image.draft("RGB", (max(1, round(width * scale)), max(1, round(height * scale))))
        reduced = image.size != (width, height)
        image.load()  # first: a PNG may store its orientation behind its pixels
        samples = deep_png.read_samples(data, image) if deep_png.is_deep(data) else _samples(image, bands)
        rgb, how = _to_rgb(image, samples, bands)
        turned = _turned(rgb, _orientation(image))
    if not reduced:
        return Decoded(turned, *turned.size, how)
    return Decoded(turned, *((height, width) if turned.size != rgb.size else (width, height)), how)


def size_of(data: bytes) -> tuple[int, int]:
    """Read width and height in pixels, as stored, without decoding. Raises ImageError with the reason."""
    with reasons():
        tags = _tiff_tags(data)
        if _is_raw(data, tags):
            optional_formats.require("raw")
            return camera_raw.size_of(data)
        if tags is not None:
            return int(tags[WIDTH]), int(tags[HEIGHT])
    with opened(data) as image:
        return image.size


def upright(image: Image.Image, bands: Sequence[int] | None = None) -> Decoded:
    """Turn a PIL image to upright 8-bit RGB. Raises ImageError with the reason."""
    with reasons():  # Pillow reads the pixels of an opened file only now
        image.load()
        rgb, how = _to_rgb(image, _samples(image, bands), bands)
        rgb = _turned(rgb.copy() if rgb is image else rgb, _orientation(image))
    return Decoded(rgb, *rgb.size, how)


def _is_raw(data: bytes, tags: "ImageFileDirectory_v2 | None") -> bool:
    return camera_raw.starts_as_raw(data) or (tags is not None and camera_raw.is_raw(tags))


def _tiff_tags(data: bytes) -> "ImageFileDirectory_v2 | None":
    """Read the tags of a TIFF; None for other files, and for damaged ones, which Pillow then names."""
    if not data.startswith(TIFF_HEADS):
        return None
    from featurestore.imaging import tiff  # slow to import, and most images are of other formats

    try:
        tags = tiff.read_tags(data)
        width, height = int(tags[WIDTH]), int(tags[HEIGHT])
    except Exception:
        return None
    check_size(width, height)
    return tags


def _tiff(data: bytes, tags: "ImageFileDirectory_v2", bands: Sequence[int] | None, preview: bool) -> Decoded | None:
    """Decode a TIFF that Pillow would read wrongly or not at all; None for others."""
    from featurestore.imaging import tiff  # as above

    samples = tiff.read_samples(data, tags, bands, preview)
    if samples is None:
        return None
    pixels, how = to_rgb(samples)
    del samples  # large
    turned = _turned(Image.fromarray(pixels), int(tags.get(ORIENTATION, 1)))
    return Decoded(turned, *turned.size, how)


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    """Turn an image upright."""
    turn = TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 when there is none."""
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # of a broken EXIF block
        return 1


def _samples(image: Image.Image, bands: Sequence[int] | None) -> Samples | None:
    """Give the samples of a loaded image that have more than 8 bits, or of which bands are to be read; None for all others."""
    if not image.mode.startswith("I") and image.mode != "F":
        if bands is None:
            return None
        image = image if image.mode in PLAIN_MODES else image.convert("RGB")
    values = np.atleast_3d(np.asarray(image))
    if image.format == "PPM" and image.mode == "I":
        values = values.astype(np.uint16)  # to which Pillow has scaled them
    return Samples(values, stated=_stated(image))


def _stated(image: Image.Image) -> tuple[float, float] | None:
    """Give black and white of a TIFF whose samples are packed into twelve bits."""
    tags = getattr(image, "tag_v2", {})
    return (0, 4095) if image.mode.startswith("I;16") and tags.get(BITS) == (12,) else None


def _to_rgb(image: Image.Image, samples: Samples | None, bands: Sequence[int] | None) -> tuple[Image.Image, str]:
    """Turn a loaded image into 8-bit RGB, and say in a few words how."""
    if samples is not None:
        rgb, how = to_rgb(samples if bands is None else select(samples, bands))
        return Image.fromarray(rgb), how
    if image.has_transparency_data:
        return _over_white(image), ""
    return image if image.mode == "RGB" else image.convert("RGB"), ""


def _over_white(image: Image.Image) -> Image.Image:
    """Lay an image over white: 8-bit RGB. Some rows at a time, as each step takes another four bytes a pixel."""
    rows = max(1, STRIP // image.width)
    rgb = Image.new("RGB", image.size)
    for top in range(0, image.height, rows):
        whole = rows >= image.height
        layer = image if whole else image.crop((0, top, image.width, min(top + rows, image.height)))
        layer = layer.convert("RGBA")
        over = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
        if whole:
            return over
        rgb.paste(over, (0, top))
    return rgb

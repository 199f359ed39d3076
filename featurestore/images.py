"""Images: where they lie, and how their bytes become RGB pixels. The only decoder of the project."""

import io
import os
import stat
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from featurestore.errors import ImageError, SourceError

MAX_PIXELS = 178_956_970  # above this Pillow itself refuses; a 108-megapixel phone photo passes
SPLITS = ("train", "val", "test")
IMAGE_SUFFIXES = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".apng",
        ".gif",
        ".webp",
        ".bmp",
        ".dib",
        ".tif",
        ".tiff",
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
        ".jp2",
        ".j2k",
        ".avif",
        ".heic",
        ".heif",
        ".ico",
        ".tga",
        ".dds",
        ".qoi",
        ".psd",
    ]
)

SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*")  # JPEG, PNG, GIF, BMP, TIFF twice

# Pillow warns between half its limit and the limit; ours is the limit, and the refusal is a reason, not a warning.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
# It also warns of every broken EXIF block; the picture is decoded all the same.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


@dataclass(frozen=True, slots=True)
class ImageFile:
    """One file of a source: where it lies and what its folders say of it."""

    path: str  # absolute
    label: str | None  # name of the parent folder, when that is neither the source itself nor a split
    split: str | None  # top folder, when it is called train, val or test
    size: int  # bytes
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Failure:
    """An image that could not be used, and why. A value, not an exception: one bad file never stops a run."""

    path: str
    reason: str


def scan(source: str | Path) -> Iterator[ImageFile | Failure]:
    """Yield the image files of a folder tree (or of one file) in sorted order; unreadable places are failures.

    Hidden files, files with a suffix that no image has or without one that do not begin as images do, and stores are passed over. Raises SourceError when the source
    does not exist.
    """
    root = Path(source).expanduser()
    if not root.exists():
        raise SourceError(
            f"source {str(source)!r}: expected a folder of images or an image, found nothing there; check the path"
        )
    root = root.resolve()
    if root.is_file():
        yield _entry(root, root.parent)
    else:
        yield from _walk(root, root, seen=set())


def _walk(folder: Path, root: Path, seen: set[tuple[int, int]]) -> Iterator[ImageFile | Failure]:
    try:
        here = folder.stat()
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        yield Failure(_printable(folder), f"folder not readable: {error.strerror}")
        return
    if (here.st_dev, here.st_ino) in seen or any(entry.name == "catalog.duckdb" for entry in entries):
        return  # a loop of symbolic links, or a store that lies within its own source
    seen.add((here.st_dev, here.st_ino))
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if _is_dir(entry):
            yield from _walk(Path(entry.path), root, seen)
        elif Path(entry.name).suffix.lower() in IMAGE_SUFFIXES or (
            "." not in entry.name and _starts_as_image(entry.path)
        ):
            yield _entry(Path(entry.path), root)


def _starts_as_image(path: str) -> bool:
    """Whether a file without a suffix begins as images do; LICENSE and Makefile do not."""
    try:
        with open(path, "rb") as file:
            head = file.read(12)
    except OSError:
        return True  # it will be a failure with its reason
    return head.startswith(SIGNATURES) or head[4:8] == b"ftyp" or (head[:4] == b"RIFF" and head[8:] == b"WEBP")


def _is_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # the entry itself will be a failure with its reason


def _entry(path: Path, root: Path) -> ImageFile | Failure:
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        return Failure(_printable(path), "file name is not valid UTF-8; rename the file")
    try:
        found = path.stat()
    except OSError as error:
        return Failure(str(path), describe(error))
    if not stat.S_ISREG(found.st_mode):
        return Failure(str(path), "not a regular file")
    folders = path.relative_to(root).parts[:-1]
    split = folders[0] if folders and folders[0] in SPLITS else None
    label = folders[-1] if len(folders) > (split is not None) else None
    return ImageFile(str(path), label, split, found.st_size, found.st_mtime_ns)


def _printable(path: Path) -> str:
    return str(path).encode("utf-8", "backslashreplace").decode("utf-8")


@dataclass(frozen=True, slots=True)
class Decoded:
    """An RGB image, upright, perhaps already reduced; `width` and `height` are those of the full picture, upright."""

    image: Image.Image
    width: int
    height: int


def decode(data: bytes, shorter_side: int | None = None) -> Decoded:
    """Decode the bytes of an image to upright 8-bit RGB.

    A JPEG is decoded at the smallest DCT scale whose shorter side is still at least `shorter_side` pixels. The first
    frame of an animation counts; transparency is laid over white; 16-bit grey keeps its upper eight bits; floating-point
    grey is stretched from its own minimum to its maximum. Raises ImageError with the reason.
    """
    if not data:
        raise ImageError("empty file (0 bytes)")
    try:
        with Image.open(io.BytesIO(data)) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise ImageError(f"too large: {width} x {height} pixels, the limit is {MAX_PIXELS:,} pixels")
            if shorter_side is not None:
                scale = shorter_side / min(width, height)
                image.draft("RGB", (max(1, round(width * scale)), max(1, round(height * scale))))
            turned = _orientation(image) >= 5
            rgb = to_rgb(_upright(image))
    except ImageError:
        raise
    except Exception as error:  # plugins of Pillow raise nearly everything on damaged files
        raise ImageError(describe(error)) from error
    return Decoded(rgb, *((height, width) if turned else (width, height)))


def take(image: Image.Image) -> Decoded:
    """Turn an image that Pillow has opened, or a program has made, to upright 8-bit RGB; raises ImageError with the reason."""
    try:
        rgb = to_rgb(_upright(image))
    except Exception as error:  # Pillow reads the pixels only now
        raise ImageError(describe(error)) from error
    return Decoded(rgb, *rgb.size)


def read(path: str | Path) -> bytes:
    """Read a file whole; raises ImageError with the reason in words."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ImageError(describe(error)) from error


def describe(error: Exception) -> str:
    """Say in a few words why a file could not be read or decoded."""
    match error:
        case FileNotFoundError():
            return "no such file, or it has vanished"
        case PermissionError():
            return "not readable: permission denied"
        case IsADirectoryError():
            return "not a file but a folder"
        case UnidentifiedImageError():
            return "not an image, or of a format without a decoder here"
        case Image.DecompressionBombError():
            return f"too large: more than the limit of {MAX_PIXELS:,} pixels"
        case OSError() if (
            "truncated" in str(error).lower() or "broken data" in str(error) or "unrecognized data" in str(error)
        ):
            return f"cut off or damaged: {error}"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(0x0112, 1))
    except Exception:  # broken EXIF says nothing about the direction
        return 1


def _upright(image: Image.Image) -> Image.Image:
    if not 2 <= _orientation(image) <= 8:
        return image
    image.load()  # errors of the pixels are the file's; errors below are those of the EXIF block
    try:
        return ImageOps.exif_transpose(image)
    except Exception:
        return image


def to_rgb(image: Image.Image) -> Image.Image:
    """Turn an image of any Pillow mode into 8-bit RGB; transparency is laid over white."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode == "I":
        return Image.fromarray((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        values = np.nan_to_num(np.asarray(image)).astype(np.float64)  # the span of float32 may not fit into float32
        span = float(values.max() - values.min()) or 1.0
        return Image.fromarray(((values - values.min()) * (255 / span)).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")

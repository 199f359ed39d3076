"""Write an encoder file: card in, proven, then named. Needs the onnx package, but not torch."""

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import onnx
from numpy.typing import NDArray
from PIL import Image

from featurestore.encoders.card import Card
from featurestore.encoders.encoder import Encoder
from featurestore.encoders.graph_edit import add_card, drop_traces
from featurestore.errors import ExportError
from featurestore.imaging import tasks
from featurestore.imaging.preprocess import Preprocess
from featurestore.system.disk import atomic_write, create_folder
from featurestore.system.text import first_line

AGREEMENT = 1e-4  # largest allowed difference of a vector, relative to its length
SAME = 1e-6  # a smaller difference is none
LARGEST = 2**31 - 1  # bytes; protobuf writes no larger message

T = TypeVar("T")


def write(model: onnx.ModelProto, card: Card, out: Path, prove: Callable[[Encoder], T]) -> T:
    """Write a graph with its card as one file, and name it `out` after `prove` has accepted it; returns what `prove` returns.

    Nothing is left behind when `prove` raises. Raises ExportError for a graph above 2 GB, DiskError when it cannot be written.
    """
    drop_traces(model)
    add_card(model, card)
    create_folder(out.parent)
    with atomic_write(out, "free some space or choose another place") as file:
        file.write(serialise(model))
        file.flush()
        return prove(Encoder(file.name))


def serialise(model: onnx.ModelProto) -> bytes:
    """Return the bytes of a model. Raises ExportError above 2 GB, the largest protobuf message."""
    size = sum(len(tensor.raw_data) for tensor in model.graph.initializer)
    if size > LARGEST:
        raise too_large(f"{size / 1e9:.1f} GB of weights")
    try:
        data: bytes = model.SerializeToString(deterministic=True)
    except Exception as error:  # of protobuf, whose classes differ from version to version
        raise too_large(first_line(error)) from error
    return data


def too_large(found: str) -> ExportError:
    """Make the error for a network above 2 GB."""
    return ExportError(
        f"expected a network of at most 2 GB, the most that fits into one ONNX file; found {found}; "
        "choose a smaller one, or its float16 version"
    )


def check(encoder: Encoder, expected: NDArray[np.float32], pixels: NDArray[np.uint8]) -> None:
    """Compare onnxruntime with torch, in one batch and one by one. Raises ExportError where they differ.

    expected: (B, D) from torch; pixels: uint8 (B, size, size, 3).
    """
    for how, found in {
        f"a batch of {len(pixels)}": encoder.encode(pixels),
        "batches of 1": _one_by_one(encoder, pixels),
    }.items():
        worst = _difference(found, expected)
        if not worst <= AGREEMENT:  # also when it is NaN
            raise ExportError(
                f"the exported encoder disagrees with torch in {how}: relative difference {worst:.2g}, allowed {AGREEMENT}; "
                "nothing was written; try another backbone, or report this one"
            )


def check_alone(encoder: Encoder, pixels: NDArray[np.uint8]) -> None:
    """Compare an encoder with itself, in one batch and one by one. Raises ExportError where the two differ, are not finite, or are all equal.

    pixels: uint8 (B, size, size, 3).
    """
    together = encoder.encode(pixels)
    finite = np.isfinite(together).all(axis=1)
    if not finite.all():
        raise ExportError(
            f"the network gives values that are not finite numbers for {int((~finite).sum())} of {len(pixels)} check images; nothing was written; "
            "check mean and std, and export a float16 network again as float32"
        )
    if len(pixels) > 1 and _difference(together, np.repeat(together[:1], len(together), axis=0)) <= SAME:
        raise ExportError(
            f"the network gives the same vector for {len(pixels)} different check images; nothing was written; check mean and std, and the output"
        )
    worst = _difference(_one_by_one(encoder, pixels), together)
    if not worst <= AGREEMENT:
        raise ExportError(
            f"the network gives an image another vector in a batch of {len(pixels)} than alone: relative difference {worst:.2g}, "
            f"allowed {AGREEMENT}; nothing was written; export it again from where it was made, in evaluation mode"
        )


def _one_by_one(encoder: Encoder, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.concatenate([encoder.encode(pixels[i : i + 1]) for i in range(len(pixels))])


def _difference(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Return the largest difference of two vectors, relative to the length of the expected one; infinite for other shapes."""
    if found.shape != expected.shape:
        return float("inf")
    length = np.linalg.norm(expected, axis=1).clip(1e-12)
    return float((np.linalg.norm(found - expected, axis=1) / length).max())


def check_pixels(record: Preprocess) -> NDArray[np.uint8]:
    """Draw seven awkward images (tall, wide, 1x1, grey, palette with alpha, EXIF-rotated, plain), and decode and preprocess them."""
    rng = np.random.default_rng(0)

    def noise(width: int, height: int) -> Image.Image:
        coarse = rng.integers(0, 256, (max(1, height // 4), max(1, width // 4), 3), np.uint8)
        return Image.fromarray(coarse).resize((width, height), Image.Resampling.BILINEAR)

    palette = noise(50, 40).convert("P")
    palette.info["transparency"] = 0
    rotated = Image.Exif()
    rotated[0x0112] = 6
    files = [
        _bytes(noise(8, 300), "PNG"), _bytes(noise(300, 8), "PNG"), _bytes(noise(1, 1), "PNG"),
        _bytes(noise(64, 64).convert("L"), "PNG"), _bytes(palette, "PNG"),
        _bytes(noise(120, 60), "JPEG", exif=rotated), _bytes(noise(96, 96), "JPEG"),
    ]  # fmt: skip
    return np.stack([tasks.pixels(file, replace(record, bands=None)).pixels for file in files])


def _bytes(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()

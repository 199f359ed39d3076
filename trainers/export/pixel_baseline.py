"""Raw pixels as an encoder file: the baseline that a trained encoder must beat. Needs no torch."""

import hashlib
import re
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from featurestore.encoders import write as encoder_file
from featurestore.encoders.card import Card
from featurestore.errors import ConfigError
from featurestore.imaging.preprocess import Preprocess
from featurestore.progress import Listener
from featurestore.version import __version__
from trainers.export.sample import take_sample

LARGEST = 64  # pixels a side; its vectors have 12,288 dimensions
GREY = 0.5  # subtracted from pixels / 255 where there is no mean image
OPSET, IR = 17, 8


def read_size(text: str) -> int:
    """Read the SIZE of "pixels:SIZE"; raises ConfigError when it is not a whole number from 1 to 64."""
    size = int(text) if re.fullmatch(r"[0-9]{1,4}", text) else 0
    if not 1 <= size <= LARGEST:
        raise ConfigError(
            f"pixels:{text}: expected pixels:SIZE with a side from 1 to {LARGEST} pixels, such as pixels:16; its vectors have 3 x SIZE x SIZE dimensions"
        )
    return size


def export_pixels(
    size: int,
    out: Path,
    source: str | Path | None = None,
    listener: Listener | None = None,
    bands: tuple[int, ...] | None = None,
) -> Path:
    """Write an encoder whose vector is the image at `size` x `size` pixels / 255, minus the mean image of `source`, or minus 0.5.

    The mean is that of up to 1,300 random images, the same each time. Raises SourceError, ConfigError for fewer than 50
    readable images, ExportError, DiskError.
    """
    record = Preprocess(size, size, mean=(GREY,) * 3, std=(1.0,) * 3, bands=bands)
    trained_on = {"count": 0, "sha256": ""}
    mean = np.full((size, size, 3), GREY)
    if source is not None:
        pixels = take_sample(source, record, listener or Listener())
        mean = pixels.mean(axis=0, dtype=np.float64) / 255
        trained_on = {"count": len(pixels), "sha256": hashlib.sha256(pixels.tobytes()).hexdigest()}
    card = Card(
        preprocess=record,
        dim=3 * size * size,
        method="pixels",
        backbone=f"{size}x{size}",
        branch="less 0.5" if source is None else "less the mean image",
        trained_on=trained_on,
        config_hash="",
        featurestore_version=__version__,
    )
    awkward = encoder_file.check_pixels(record)
    expected = (awkward / 255 - mean).reshape(len(awkward), -1).astype(np.float32)
    encoder_file.write(graph(mean), card, out, lambda encoder: encoder_file.check(encoder, expected, awkward))
    return out


def graph(mean: NDArray[np.float64]) -> onnx.ModelProto:
    """Build the network: uint8 (B, size, size, 3) to pixels / 255 - mean, (B, 3 * size * size); mean: (size, size, 3)."""
    size = len(mean)
    nodes = [
        helper.make_node("Cast", ["pixels"], ["whole"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["whole", "white"], ["shares"]),
        helper.make_node("Sub", ["shares", "mean"], ["centred"]),
        helper.make_node("Flatten", ["centred"], ["vector"], axis=1),
    ]
    constants = {"white": np.array(255, np.float32), "mean": mean.astype(np.float32)}
    network = helper.make_graph(
        nodes,
        "pixels",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["batch", size, size, 3])],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["batch", 3 * size * size])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(network, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)

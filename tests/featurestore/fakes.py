"""Encoders and pictures whose every vector can be computed in the head.

The fake encoder's vector is the mean colour of each quadrant, in the order top left, top right, bottom left, bottom right:
twelve numbers in [0, 1]. The vector of a picture of one colour is that colour four times.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper
from PIL import Image

from featurestore.encoders.card import CARD_KEY, Card
from featurestore.imaging.preprocess import Preprocess

SIZE, DIM = 8, 12
RECORD = Preprocess(SIZE, SIZE, interpolation="bilinear", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
CARD = Card(RECORD, DIM, "quadrants", "none", "online", {"count": 0, "sha256": ""}, "none", "0")
Colour = tuple[int, int, int]

COLOURS: dict[str, Colour] = {
    "red": (255, 0, 0),
    "yellow": (255, 255, 0),
    "green": (0, 255, 0),
    "cyan": (0, 255, 255),
    "blue": (0, 0, 255),
    "white": (255, 255, 255),
}


def write_encoder(path: Path, card: Card | str | None = CARD, scale: float = 1.0, size: int = SIZE) -> Path:
    """Write the encoder; another `scale` gives the same unit vectors under another fingerprint.

    A card of None is left out; a text is taken as it is.
    """
    half = size // 2
    nodes = [
        helper.make_node("Cast", ["pixels"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["planes"], ["means"], kernel_shape=[half, half], strides=[half, half]),
        helper.make_node("Transpose", ["means"], ["quadrants"], perm=[0, 2, 3, 1]),
        helper.make_node("Flatten", ["quadrants"], ["flat"], axis=1),
        helper.make_node("Mul", ["flat", "scale"], ["vector"]),
    ]
    graph = helper.make_graph(
        nodes,
        "quadrants",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["batch", size, size, 3])],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["batch", DIM])],
        [helper.make_tensor("scale", TensorProto.FLOAT, [], [scale / 255])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if card is not None:
        helper.set_model_props(model, {CARD_KEY: card if isinstance(card, str) else card.to_json()})
    onnx.save(model, str(path))
    return path


def write_other_encoder(path: Path) -> Path:
    """Write a second encoder: the same unit vectors, but another method, name and fingerprint."""
    return write_encoder(path, replace(CARD, method="other"), scale=0.5)


def write_broken_encoder(path: Path) -> Path:
    """Write the first half of an encoder."""
    data = write_encoder(path).read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return path


def paint(path: Path, *colours: Colour, size: int = SIZE) -> Path:
    """Write a picture of one colour, or of four: top left, top right, bottom left, bottom right."""
    four = colours * 4 if len(colours) == 1 else colours
    pixels = np.array(four, np.uint8).reshape(2, 2, 3).repeat(size // 2, axis=0).repeat(size // 2, axis=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def unit(*colours: Colour) -> NDArray[np.float32]:
    """The vector that a store keeps for such a picture, before it is rounded to float16."""
    four = colours * 4 if len(colours) == 1 else colours
    x = np.array(four, np.float64).ravel()
    return np.asarray(x / np.sqrt((x * x).sum()), np.float32)

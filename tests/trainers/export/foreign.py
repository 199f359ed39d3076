"""A network from elsewhere exported, and what it should say."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from featurestore.encoders.encoder import Encoder
from featurestore.progress import Listener
from tests.trainers.export.onnx_networks import preprocess_file, save
from trainers.export.targets import export_encoder

MEAN, STD = np.array([0.4, 0.5, 0.6]), np.array([0.2, 0.25, 0.3])


def export(model: onnx.ModelProto, folder: Path, listener: Listener | None = None, **reading: Any) -> Encoder:
    path = save(model, folder / "other.onnx")
    given = preprocess_file(folder / "preprocess.toml", **reading)
    return Encoder(export_encoder(str(path), folder / "encoder.onnx", preprocess=given, listener=listener))


def by_hand(model: onnx.ModelProto, pixels: NDArray[np.uint8], kind: type = np.float32) -> NDArray[Any]:
    """What the network itself gives for the images, normalised here, in onnx's own reference implementation."""
    x = ((pixels / 255 - MEAN) / STD).transpose(0, 3, 1, 2).astype(kind)
    results: Any = ReferenceEvaluator(model).run(None, {"pixels": x})
    return np.asarray(results[0])

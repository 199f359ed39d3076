"""The classifier file: an encoder file with a second output, the probabilities of its classes."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from featurestore.encoders import write as encoder_file
from featurestore.encoders.card import Card
from featurestore.encoders.encoder import PROBABILITIES, Encoder
from featurestore.errors import ExportError
from featurestore.imaging.preprocess import Preprocess
from trainers.export.torch_onnx import EncoderGraph, to_onnx
from trainers.finetuning.network import ClassifierNetwork

TOLERANCE = 1e-3  # largest difference of a probability between onnxruntime and torch


class ClassifierGraph(EncoderGraph):
    """uint8 pixels (B, size, size, 3) in; vectors (B, D) and calibrated probabilities (B, C) out."""

    def __init__(self, network: ClassifierNetwork, record: Preprocess, temperature: float) -> None:
        super().__init__(network.backbone, record)
        self.network, self.temperature = network, temperature

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        vectors = self.backbone(self.normalise(pixels))
        return vectors, (self.network.classify(vectors) / self.temperature).softmax(dim=1)


def export_classifier(network: ClassifierNetwork, card: Card, temperature: float, out: Path) -> Path:
    """Write a classifier with its card as one ONNX file, check it against torch, and only then name it `out`.

    Raises ExportError when it cannot be written as ONNX or onnxruntime and torch disagree, DiskError when it cannot be written.
    """
    graph = ClassifierGraph(network, card.preprocess, temperature).cpu().eval()
    pixels = torch.from_numpy(encoder_file.check_pixels(card.preprocess))
    model = to_onnx(graph, pixels[:2], ["vector", PROBABILITIES])
    with torch.no_grad():
        vectors, probabilities = (output.numpy() for output in graph(pixels))

    def prove(encoder: Encoder) -> None:
        encoder_file.check(encoder, vectors, pixels.numpy())
        worst = float(np.abs(encoder.probabilities(pixels.numpy()) - probabilities).max())
        if not worst <= TOLERANCE:  # also when it is NaN
            raise ExportError(
                f"the exported classifier disagrees with torch: a probability differs by {worst:.2g}, allowed {TOLERANCE}; nothing was written; "
                "try another backbone, or report this one"
            )

    encoder_file.write(model, card, out, prove)
    return out

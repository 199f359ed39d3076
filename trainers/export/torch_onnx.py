"""Export of a backbone from torch to `encoder.onnx`, which is checked against torch before it gets its name."""

from pathlib import Path

import onnx
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from featurestore.ann.normalize import unit_rows
from featurestore.encoders import write as encoder_file
from featurestore.encoders.card import Card
from featurestore.encoders.encoder import Encoder
from featurestore.encoders.graph_edit import append_whitening
from featurestore.errors import ConfigError, ExportError
from featurestore.estimators.whitening import Whitening
from featurestore.imaging.preprocess import Preprocess
from featurestore.system.text import first_line
from trainers.models.backbones import with_attention
from trainers.runtime.quiet import quiet

OPSET = 20


class EncoderGraph(nn.Module):
    """The exported network, normalisation and backbone: uint8 pixels (B, size, size, 3) to vectors (B, D)."""

    def __init__(self, backbone: nn.Module, record: Preprocess) -> None:
        super().__init__()
        self.backbone = backbone
        mean, std = torch.tensor(record.mean), torch.tensor(record.std)
        self.register_buffer("scale", (1 / (255 * std)).view(1, 3, 1, 1))
        self.register_buffer("shift", (mean / std).view(1, 3, 1, 1))

    def normalise(self, pixels: Tensor) -> Tensor:
        return pixels.permute(0, 3, 1, 2).float() * self.get_buffer("scale") - self.get_buffer("shift")

    def forward(self, pixels: Tensor) -> Tensor:
        return torch.as_tensor(self.backbone(self.normalise(pixels)))


class AttentionGraph(EncoderGraph):
    """The same with a second output: the attention of the class token in the last layer of a ViT, (B, heads, h, w)."""

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        return with_attention(self.backbone, self.normalise(pixels))


def export(
    backbone: nn.Module, card: Card, out: Path, attention: bool = False, whitening: Whitening | None = None
) -> Path:
    """Write the backbone, and a whitening behind it, with the card as one ONNX file, check it, and only then name it `out`.

    Raises ExportError when the network cannot be written as ONNX, or onnxruntime and torch disagree on the check images; DiskError when the
    file cannot be written; ConfigError for `attention` of a backbone other than a ViT with a class token.
    """
    if attention and not (isinstance(backbone, VisionTransformer) and backbone.cls_token is not None):
        raise ConfigError(
            "--attention: expected a ViT with a class token, found a backbone without; leave --attention out"
        )
    graph = EncoderGraph(backbone, card.preprocess).cpu().eval()
    pixels = torch.from_numpy(encoder_file.check_pixels(card.preprocess))
    whole = AttentionGraph(backbone, card.preprocess).eval() if attention else graph
    model = to_onnx(whole, pixels[:2], ["vector", "attention"][: 1 + attention])

    if whitening is not None:
        model = append_whitening(model, whitening)

    def prove(encoder: Encoder) -> None:
        # A compiled backbone would be compiled again here, for the processor of a machine that may have no compiler.
        with torch.no_grad(), torch.compiler.set_stance("force_eager"):
            expected = graph(pixels).numpy()
        encoder_file.check(encoder, expected if whitening is None else whitening(unit_rows(expected)), pixels.numpy())

    encoder_file.write(model, card, out, prove)
    return out


def to_onnx(graph: EncoderGraph, pixels: Tensor, outputs: list[str]) -> onnx.ModelProto:
    """Trace a graph with the pixels of two images, and name its outputs. Raises ExportError when it cannot be written as ONNX."""
    try:
        with quiet("torch.onnx"):
            program = torch.onnx.export(
                graph, (pixels,), dynamo=True, opset_version=OPSET, external_data=False, verbose=False,
                input_names=["pixels"], output_names=outputs, dynamic_shapes=({0: torch.export.Dim("batch")},),
            )  # fmt: skip
    except Exception as error:  # from the tracer, the exporter, or the network itself
        raise ExportError(
            f"the network cannot be written as ONNX: {first_line(error)}; nothing was written; choose another backbone"
        ) from error
    assert program is not None
    return program.model_proto

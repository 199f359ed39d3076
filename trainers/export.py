"""Export: a backbone becomes `encoder.onnx`, which proves itself against the network before it gets its name."""

import contextlib
import io
import logging
import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from featurestore import images, preprocess
from featurestore.encoder import CARD_KEY, Card, Encoder
from featurestore.errors import ConfigError, DiskError, ExportError
from featurestore.preprocess import Preprocess
from trainers.backbones import with_attention

OPSET = 20
AGREEMENT = (
    1e-4  # least cosine similarity allowed is 1 - this, and the largest difference relative to the vector's length
)


class EncoderGraph(nn.Module):
    """What is exported: uint8 pixels (B, size, size, 3) in, normalisation and backbone inside, (B, D) out."""

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
    """The same with a second output: the attention of the class token in a ViT's last layer, (B, heads, h, w)."""

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        return with_attention(self.backbone, self.normalise(pixels))


def export(backbone: nn.Module, card: Card, out: Path, attention: bool = False) -> Path:
    """Write the backbone with its card as one ONNX file, check it, and only then name it `out`.

    Raises ExportError when onnxruntime and torch disagree on the check images, DiskError when it cannot be written, ConfigError when
    `attention` is asked of a backbone that is no ViT.
    """
    if attention and not isinstance(backbone, VisionTransformer):
        raise ConfigError("--attention: expected a ViT, found a backbone without attention; leave --attention out")
    graph = EncoderGraph(backbone, card.preprocess).cpu().eval()
    pixels = torch.from_numpy(check_pixels(card.preprocess))
    with _quiet():
        program = torch.onnx.export(
            AttentionGraph(backbone, card.preprocess).eval() if attention else graph,
            (pixels[:2],), dynamo=True, opset_version=OPSET, external_data=False, verbose=False,
            input_names=["pixels"], output_names=["vector", "attention"][: 1 + attention],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
        )  # fmt: skip
    assert program is not None
    model = program.model_proto
    entry = model.metadata_props.add()
    entry.key, entry.value = CARD_KEY, card.to_json()

    part = out.with_name(out.name + ".part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(model.SerializeToString())
            file.flush()
            os.fsync(file.fileno())
        with torch.no_grad():
            check(Encoder(part), graph(pixels).numpy(), pixels.numpy())
        part.replace(out)
    except OSError as error:
        raise DiskError(
            f"encoder {out}: cannot be written ({error.strerror}); free some space or choose another place"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()
    return out


def check(encoder: Encoder, expected: NDArray[np.float32], pixels: NDArray[np.uint8]) -> None:
    """Compare onnxruntime with torch, in one batch and one by one; raises ExportError where they differ.

    expected: (B, D) from torch; pixels: uint8 (B, size, size, 3).
    """
    for how, found in {
        f"a batch of {len(pixels)}": encoder.encode(pixels),
        "batches of 1": np.concatenate([encoder.encode(pixels[i : i + 1]) for i in range(len(pixels))]),
    }.items():
        length = np.linalg.norm(expected, axis=1).clip(1e-12)
        worst = float((np.linalg.norm(found - expected, axis=1) / length).max())
        if not worst <= AGREEMENT:  # also when it is NaN
            raise ExportError(
                f"the exported encoder disagrees with torch in {how}: relative difference {worst:.2g}, allowed {AGREEMENT}; "
                "nothing was written; try another backbone, or report this one"
            )


def check_pixels(record: Preprocess) -> NDArray[np.uint8]:
    """Draw seven awkward images (tall, wide, 1x1, grey, palette with alpha, EXIF-rotated, plain) and take them the common road."""
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
    return np.stack([preprocess.apply(images.decode(file, record.shorter_side), record) for file in files])


def _bytes(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's chatter away from the user; its errors still come through."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)

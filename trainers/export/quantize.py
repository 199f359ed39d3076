"""int8: a smaller and faster version of an encoder file, calibrated on images and measured against the original. Needs no torch."""

import dataclasses
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from featurestore.encoders import write as encoder_file
from featurestore.encoders.encoder import Encoder
from featurestore.errors import ConfigError, DiskError, ExportError
from featurestore.progress import Listener
from featurestore.system.text import describe_error
from trainers.export.sample import take_sample
from trainers.runtime.quiet import quiet

CALIBRATING = 300  # images of the sample; the others are measured
LEAST_AGREEMENT = 0.95
TIE = 1e-6  # scores that differ by less are equal: copies of an image
BATCH = 8
INT8 = ", int8"  # at the end of the branch on the card

LINEAR = ("MatMul", "Gemm")
EARLY = 5  # layers of a ViT that stay float32: patches and the first block, whose errors pass through all others
BETWEEN = (
    "Add",
    "Relu",
    "Clip",
    "MaxPool",
    "Concat",
)  # between convolutions, where a conversion to float and back would be slow


@dataclass(frozen=True)
class Quantized:
    """An int8 encoder and how well it agrees with the float32 one."""

    encoder: Path
    agreement: float  # share of images whose nearest other image is the same
    mean_cosine: float  # of an image's two vectors
    images: int  # measured

    def to_json(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self), "encoder": str(self.encoder)}


def quantize(
    encoder: str | Path, source: str | Path, out: Path, force: bool = False, listener: Listener | None = None
) -> Quantized:
    """Write the int8 version of an encoder file to `out`, calibrated on up to 300 images of `source` and measured on up to 1,000.

    From 600 images on, these are different images. Raises ExportError when the two encoders agree on the nearest image
    less often than 0.95 and `force` is not given, or when the network cannot be quantised; ConfigError for fewer than 50 images.
    """
    listener = listener or Listener()
    full = Encoder(encoder)
    if full.card.branch.endswith(INT8):
        raise ConfigError(f"{encoder}: is int8 already; give the float32 encoder that it was made from")
    pixels = take_sample(source, full.preprocess, listener)
    calibrating = pixels[:CALIBRATING]
    measured = pixels[CALIBRATING:] if len(pixels) >= 2 * CALIBRATING else pixels
    listener.note(f"int8: calibrating on {len(calibrating)} images, measuring on {len(measured)}")
    model = to_int8(Path(encoder), calibrating)
    card = dataclasses.replace(full.card, branch=full.card.branch + INT8)

    def prove(small: Encoder) -> Quantized:
        theirs, ours = encode(full, measured, listener), encode(small, measured, listener)
        awkward = small.encode(encoder_file.check_pixels(small.preprocess))
        if not np.isfinite(ours).all() or not np.isfinite(awkward).all():
            raise ExportError(
                "the int8 encoder gives vectors with values that are not finite numbers; nothing was written"
            )
        found = Quantized(out, agreement(theirs, ours), mean_cosine(theirs, ours), len(measured))
        if found.agreement < LEAST_AGREEMENT and not force:
            raise ExportError(
                f"the int8 encoder names the same nearest image as the float32 one for {found.agreement:.3f} of {found.images} images "
                f"(mean cosine {found.mean_cosine:.4f}), expected at least {LEAST_AGREEMENT}; nothing was written; calibrate on images like those of "
                "your collection, keep float32, or take it as it is by --force"
            )
        return found

    return encoder_file.write(model, card, out, prove)


def encode(encoder: Encoder, pixels: NDArray[np.uint8], listener: Listener) -> NDArray[np.float32]:
    """Encode many images: (N, size, size, 3) to (N, D)."""
    listener.start("encoding", len(pixels))
    parts = []
    for start in range(0, len(pixels), BATCH):
        parts.append(encoder.encode(pixels[start : start + BATCH]))
        listener.advance(len(parts[-1]))
    return np.concatenate(parts)


def agreement(full: NDArray[np.float32], small: NDArray[np.float32]) -> float:
    """Compute the share of images whose nearest other image is the same by two encoders; both (N, D).

    Where several are equally near by `full`, each of them counts as the same.
    """
    truth, found = _scores(full), _scores(small)
    nearest = found.argmax(axis=1)
    return float(np.mean(truth[np.arange(len(truth)), nearest] >= truth.max(axis=1) - TIE))


def mean_cosine(full: NDArray[np.float32], small: NDArray[np.float32]) -> float:
    """Compute the mean cosine of each image's two vectors; both (N, D)."""
    return float((_unit(full) * _unit(small)).sum(axis=1).mean())


def to_int8(encoder: Path, pixels: NDArray[np.uint8]) -> onnx.ModelProto:
    """Quantise a graph by the ranges of its activations on calibration images, (N, size, size, 3). Raises ExportError, DiskError.

    Weights become int8 with one scale for each channel, activations uint8 with one scale for each tensor. The scales are constants: the
    vector of an image does not depend on the others in its batch, as it would with onnxruntime's dynamic int8.
    """
    with tempfile.TemporaryDirectory() as folder, quiet(None):
        prepared, small = Path(folder) / "prepared.onnx", Path(folder) / "int8.onnx"
        try:
            # It merges BatchNorm into convolutions. The skipped step needs sympy, which comes with torch only.
            quant_pre_process(str(encoder), str(prepared), skip_symbolic_shape=True)
            model = onnx.load(prepared)
            convolutional = is_convolutional(model.graph)
            early = [] if convolutional else layers(model.graph)[:EARLY]
            kept = [*early, *behind_unit_vectors(model.graph)]
            if len({node.name for node in kept}) == len(layers(model.graph)):
                raise ValueError("it has no layers with weights of which int8 versions would be used")
            quantize_static(
                model, small, _Batches(model.graph.input[0].name, pixels), quant_format=QuantFormat.QDQ, per_channel=True,
                activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
                op_types_to_quantize=["Conv", *LINEAR, *(BETWEEN if convolutional else ())],
                nodes_to_exclude=[node.name for node in kept],
                extra_options={
                    "CalibMovingAverage": True,  # averages the ranges of batches, so that one odd image does not widen them
                    "MatMulConstBOnly": True, "OpTypesToExcludeOutputQuantization": list(LINEAR),
                },
            )  # fmt: skip
            return onnx.load(small)
        except OSError as error:
            raise DiskError(f"int8: {describe_error(error)}; free some space in {tempfile.gettempdir()}") from error
        except Exception as error:  # onnxruntime raises its own classes, and plain ones
            raise ExportError(
                f"the network cannot be quantised to int8: {error}; nothing was written; keep float32"
            ) from error


def behind_unit_vectors(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """List the layers that see vectors of unit length, a whitening or a classifier: small, and their input needs all its digits."""
    unit = {output for node in graph.node if node.op_type == "LpNormalization" for output in node.output}
    return [node for node in layers(graph) if unit & set(node.input[:1])]


def layers(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """List the layers with weights in the order of the graph, and name those without a name."""
    weights = {tensor.name for tensor in graph.initializer}
    found = [node for node in graph.node if node.op_type in ("Conv", *LINEAR) and weights & set(node.input[1:2])]
    for place, node in enumerate(found):
        node.name = node.name or f"layer_{place}"
    return found


def is_convolutional(graph: onnx.GraphProto) -> bool:
    """Whether most layers with weights are convolutions; otherwise, as in a ViT, they are linear."""
    kinds = [node.op_type for node in layers(graph)]
    return 2 * kinds.count("Conv") > len(kinds)


class _Batches(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    """Calibration images in the form that onnxruntime reads."""

    def __init__(self, name: str, pixels: NDArray[np.uint8]) -> None:
        self._batches = iter([{name: pixels[start : start + BATCH]} for start in range(0, len(pixels), BATCH)])

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        return next(self._batches, None)


def _scores(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    unit = _unit(vectors)
    scores = unit @ unit.T
    np.fill_diagonal(scores, -np.inf)  # the nearest other image
    return scores


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    exact = vectors.astype(np.float64)
    unit: NDArray[np.float64] = exact / np.linalg.norm(exact, axis=1, keepdims=True).clip(1e-12)
    return unit

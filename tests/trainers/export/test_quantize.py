"""int8: what is quantised, what the agreement counts, and when it is refused."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from featurestore.ann.normalize import unit_rows
from featurestore.encoders.encoder import Encoder
from featurestore.encoders.whitened import write_whitened
from featurestore.errors import ConfigError, DiskError, ExportError, SourceError
from featurestore.progress import Listener
from tests.trainers.export.onnx_networks import convolutional, linear, pictures, preprocess_file, save
from trainers.export import quantize as quantizing
from trainers.export import targets as exporting
from trainers.export.quantize import agreement, mean_cosine, quantize, to_int8
from trainers.export.sample import take_sample
from trainers.export.targets import export_encoder, export_int8


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pictures(tmp_path_factory.mktemp("source") / "pictures", 60)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    other = save(convolutional(), folder / "other.onnx")
    return export_encoder(str(other), folder / "encoder.onnx", preprocess=preprocess_file(folder / "p.toml"))


def hostile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Quantise as if every weight of the second layer had been lost."""
    genuine = quantizing.to_int8

    def broken(encoder: Path, pixels: NDArray[np.uint8]) -> onnx.ModelProto:
        model = genuine(encoder, pixels)
        rng = np.random.default_rng(0)
        for tensor in model.graph.initializer:
            if tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) == 4:
                noise = rng.integers(-100, 100, tuple(tensor.dims)).astype(np.int8)
                tensor.CopyFrom(numpy_helper.from_array(noise, tensor.name))
        return model

    monkeypatch.setattr(quantizing, "to_int8", broken)


# -- the figures


def test_the_agreement_is_that_of_a_naive_count() -> None:
    rng = np.random.default_rng(0)
    full = rng.normal(size=(40, 6)).astype(np.float32) * rng.uniform(1, 9, (40, 1)).astype(np.float32)
    small = full + 0.3 * rng.normal(size=(40, 6)).astype(np.float32)

    def nearest(vectors: NDArray[np.float32], i: int) -> int:
        scores = {}
        for j in range(len(vectors)):
            if j != i:
                a, b = vectors[i].astype(float), vectors[j].astype(float)
                scores[j] = sum(a * b) / (sum(a * a) ** 0.5 * sum(b * b) ** 0.5)
        return max(scores, key=lambda j: scores[j])

    naive = sum(nearest(full, i) == nearest(small, i) for i in range(40)) / 40
    assert 0.3 < naive < 0.9
    assert agreement(full, small) == pytest.approx(naive)
    assert agreement(full, full) == 1
    assert agreement(full, full * 3) == 1


def test_any_of_several_copies_will_do() -> None:
    """By float32 the first three are one direction; int8 prefers another copy than the first."""
    full = np.array([[1, 0], [2, 0], [4, 0], [0, 1]], np.float32)
    small = np.array([[1, 0.02], [1, 0.0], [1, 0.021], [0, 1]], np.float32)
    assert agreement(full, small) == 1
    apart = np.array([[1, 0], [2, 0.1], [4, 0], [0, 1]], np.float32)  # the second is no copy any more
    assert agreement(apart, np.array([[1, 0], [1, 0], [1, 0.3], [0, 1]], np.float32)) < 1


def test_the_mean_cosine_is_of_an_images_two_vectors() -> None:
    full = np.array([[2, 0], [0, 3]], np.float32)
    assert mean_cosine(full, np.array([[5, 0], [1, 1]], np.float32)) == pytest.approx((1 + 0.5**0.5) / 2)


# -- what is written


def test_the_int8_encoder_is_another_encoder_that_says_nearly_the_same(
    full: Path, source: Path, tmp_path: Path
) -> None:
    result = quantize(full, source, tmp_path / "new" / "int8.onnx", force=True)
    before, after = Encoder(full), Encoder(result.encoder)
    assert after.fingerprint != before.fingerprint
    assert after.card.branch == "vector, int8"
    assert after.card.to_json() == before.card.to_json().replace('"vector"', '"vector, int8"')
    pixels = take_sample(source, before.preprocess, Listener())
    theirs, ours = before.encode(pixels), after.encode(pixels)
    assert result.mean_cosine == pytest.approx(mean_cosine(theirs, ours), abs=1e-5)
    assert result.agreement == pytest.approx(agreement(theirs, ours), abs=0.02)
    assert result.mean_cosine > 0.999
    assert result.images == 60
    alone = np.concatenate([after.encode(pixels[i : i + 1]) for i in range(60)])
    np.testing.assert_allclose(alone, ours, atol=1e-4)  # whatever else is in the batch
    assert [path.name for path in result.encoder.parent.iterdir()] == ["int8.onnx"]


def test_weights_are_int8_with_a_scale_for_each_channel(full: Path, source: Path) -> None:
    graph = to_int8(full, take_sample(source, Encoder(full).preprocess, Listener())).graph
    shapes = {t.name: (t.data_type, tuple(t.dims)) for t in graph.initializer}
    assert {shape for kind, shape in shapes.values() if kind == onnx.TensorProto.INT8 and len(shape) == 4} == {(16, 3, 3, 3), (24, 16, 3, 3)}  # fmt: skip
    assert not [shape for kind, shape in shapes.values() if kind == onnx.TensorProto.FLOAT and len(shape) == 4]
    assert (16,) in {shape for name, (_, shape) in shapes.items() if name.endswith("_scale")}


def test_a_whitening_stays_float(full: Path, source: Path, tmp_path: Path) -> None:
    """It makes small differences large, and would make those of rounding large as well."""
    encoder = Encoder(full)
    pixels = take_sample(source, encoder.preprocess, Listener())
    vectors = unit_rows(encoder.encode(np.concatenate([pixels, 255 - pixels])))
    write_whitened(encoder, vectors, tmp_path / "white.onnx")
    graph = to_int8(tmp_path / "white.onnx", pixels).graph
    dim = encoder.dim
    kinds = {t.data_type for t in graph.initializer if tuple(t.dims) == (dim, dim)}
    assert kinds == {onnx.TensorProto.FLOAT}
    assert [t for t in graph.initializer if t.data_type == onnx.TensorProto.INT8 and len(t.dims) == 4]


def linear_encoder(folder: Path) -> Path:
    given = preprocess_file(folder / "p.toml", pool="mean")
    return export_encoder(str(save(linear(), folder / "o.onnx")), folder / "e.onnx", preprocess=given)


def test_between_linear_layers_values_stay_float(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantizing, "EARLY", 0)
    encoder = linear_encoder(tmp_path)
    graph = to_int8(encoder, take_sample(source, Encoder(encoder).preprocess, Listener())).graph
    made = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        if node.op_type == "MatMul":
            assert [made[name].op_type for name in node.input] == ["DequantizeLinear", "DequantizeLinear"]
        if node.op_type in ("Add", "Relu"):
            assert "DequantizeLinear" not in [made[name].op_type for name in node.input if name in made]
    kinds = Counter(node.op_type for node in graph.node)
    assert (kinds["MatMul"], kinds["Conv"]) == (2, 1)


def test_the_first_layers_of_a_network_of_linear_layers_stay_float(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantizing, "EARLY", 2)  # of three; none of them has a name
    encoder = linear_encoder(tmp_path)
    graph = to_int8(encoder, take_sample(source, Encoder(encoder).preprocess, Listener())).graph
    kinds = {tuple(t.dims): t.data_type for t in graph.initializer if len(t.dims) > 1}
    int8, floating = onnx.TensorProto.INT8, onnx.TensorProto.FLOAT
    assert {shape: kinds[shape] for shape in ((32, 3, 8, 8), (32, 64), (64, 32))} == {(32, 3, 8, 8): floating, (32, 64): floating, (64, 32): int8}  # fmt: skip


def test_with_enough_images_others_are_measured_than_calibrated(
    full: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantizing, "CALIBRATING", 30)
    seen: dict[str, NDArray[np.uint8]] = {}
    genuine_int8, genuine_encode = quantizing.to_int8, quantizing.encode

    def to_int8(encoder: Path, pixels: NDArray[np.uint8]) -> onnx.ModelProto:
        seen["calibrating"] = pixels
        return genuine_int8(encoder, pixels)

    def encode(encoder: Encoder, pixels: NDArray[np.uint8], listener: Listener) -> NDArray[np.float32]:
        seen["measured"] = pixels
        return genuine_encode(encoder, pixels, listener)

    monkeypatch.setattr(quantizing, "to_int8", to_int8)
    monkeypatch.setattr(quantizing, "encode", encode)
    assert quantize(full, source, tmp_path / "int8.onnx", force=True).images == 30
    images = {name: {image.tobytes() for image in pixels} for name, pixels in seen.items()}
    assert [len(images[name]) for name in ("calibrating", "measured")] == [30, 30]
    assert not images["calibrating"] & images["measured"]


# -- what is refused


def test_an_encoder_that_agrees_too_seldom_is_refused_unless_forced(
    full: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile(monkeypatch)
    with pytest.raises(ExportError, match=r"for 0\.\d+ of 60 images .*at least 0\.95; nothing was written.*--force"):
        quantize(full, source, tmp_path / "int8.onnx")
    assert list(tmp_path.iterdir()) == []
    assert quantize(full, source, tmp_path / "int8.onnx", force=True).agreement < 0.95
    assert (tmp_path / "int8.onnx").exists()


def test_the_border_is_inclusive(full: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantizing, "agreement", lambda full, small: 0.95)
    assert quantize(full, source, tmp_path / "int8.onnx").agreement == 0.95


def test_too_few_readable_images_are_refused(full: Path, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "few", 49)
    for i in range(20):
        (folder / f"broken{i}.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(ConfigError, match="at least 50 images that can be read, found 49"):
        quantize(full, folder, tmp_path / "int8.onnx")
    pictures(folder, 50)
    assert quantize(full, folder, tmp_path / "int8.onnx", force=True).images == 50


def test_an_int8_encoder_is_not_quantised_again(full: Path, source: Path, tmp_path: Path) -> None:
    small = quantize(full, source, tmp_path / "int8.onnx", force=True).encoder
    with pytest.raises(ConfigError, match="is int8 already"):
        quantize(small, source, tmp_path / "again.onnx")


def test_a_network_that_cannot_be_quantised_is_named(
    full: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise ValueError("unknown shape")

    monkeypatch.setattr(quantizing, "quantize_static", refuse)
    with pytest.raises(ExportError, match="cannot be quantised to int8: unknown shape"):
        quantize(full, source, tmp_path / "int8.onnx")


def test_a_network_without_layers_to_quantise_is_not_called_int8(source: Path, tmp_path: Path) -> None:
    """One that is run image by image has them inside its loop, where they would stay as they are."""
    full = export_encoder("pixels:8", tmp_path / "pixels.onnx")
    with pytest.raises(ExportError, match="it has no layers with weights of which int8 versions would be used"):
        quantize(full, source, tmp_path / "int8.onnx", force=True)


def test_a_foreign_network_goes_to_int8_in_one_step_and_leaves_nothing_beside(source: Path, tmp_path: Path) -> None:
    other, given = save(convolutional(), tmp_path / "other.onnx"), preprocess_file(tmp_path / "p.toml")
    result = export_int8(str(other), tmp_path / "out" / "int8.onnx", source, force=True, preprocess=given)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["int8.onnx"]
    assert Encoder(result.encoder).card.branch == "vector, int8"
    again = export_int8(str(export_encoder(str(other), tmp_path / "e.onnx", preprocess=given)), tmp_path / "b.onnx", source, force=True)  # fmt: skip
    assert (
        Encoder(again.encoder).fingerprint == Encoder(result.encoder).fingerprint
    )  # from a file with a card: the same


def test_a_calibration_source_is_looked_at_before_anything_is_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_late(*arguments: object, **options: object) -> None:
        pytest.fail("exported before the source was looked at")

    monkeypatch.setattr(exporting, "export_encoder", too_late)
    with pytest.raises(SourceError, match="found nothing there"):
        export_int8("timm:test_resnet", tmp_path / "int8.onnx", tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="at least 50 images that can be read, found 7"):
        export_int8("timm:test_resnet", tmp_path / "int8.onnx", pictures(tmp_path / "few", 7))


def test_only_what_cannot_be_written_is_called_so(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(*arguments: object, **options: object) -> None:
        raise ConnectionError("the weights' server is away")

    monkeypatch.setattr(exporting, "export_encoder", unreadable)
    with pytest.raises(ConnectionError):
        export_int8("timm:test_resnet", tmp_path / "int8.onnx", source)
    (tmp_path / "file").touch()
    with pytest.raises(DiskError, match="cannot be written"):
        export_int8("timm:test_resnet", tmp_path / "file" / "int8.onnx", source)

"""Encoders to compare with: raw pixels, and the network of a run before it learnt anything."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from featurestore.encoders.encoder import Encoder
from featurestore.encoders.write import check_pixels
from featurestore.errors import ConfigError, ExportError, SourceError
from featurestore.imaging.decode import decode
from featurestore.imaging.preprocess import apply
from tests.trainers.export.onnx_networks import pictures
from trainers.config.resolve import resolve
from trainers.export.pixel_baseline import export_pixels
from trainers.export.targets import export_encoder, export_int8, kind_of
from trainers.training.setup import build


def test_the_vector_is_the_image_less_grey(tmp_path: Path) -> None:
    encoder = Encoder(export_encoder("pixels:4", tmp_path / "pixels.onnx"))
    pixels = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 3), np.uint8)
    expected = [[value / 255 - 0.5 for value in image.ravel().tolist()] for image in pixels]
    np.testing.assert_allclose(encoder.encode(pixels), expected, atol=1e-6)
    assert (encoder.dim, encoder.preprocess.size, encoder.card.method, encoder.card.backbone) == (
        48,
        4,
        "pixels",
        "4x4",
    )
    assert encoder.card.trained_on == {"count": 0, "sha256": ""}
    assert encoder.card.branch == "less 0.5"


def test_the_mean_image_of_a_source_is_subtracted(tmp_path: Path) -> None:
    source = pictures(tmp_path / "pictures", 60)
    encoder = Encoder(export_encoder("pixels:4", tmp_path / "pixels.onnx", calibrate=source))
    pixels = np.stack([apply(decode(path.read_bytes(), 4), encoder.preprocess) for path in sorted(source.iterdir())])
    mean = sum(image.astype(float) for image in pixels) / 60
    np.testing.assert_allclose(encoder.encode(pixels[:5]), ((pixels[:5] - mean) / 255).reshape(5, -1), atol=1e-5)
    np.testing.assert_allclose(encoder.encode(pixels).mean(axis=0), 0, atol=1e-5)
    assert (encoder.card.trained_on["count"], len(encoder.card.trained_on["sha256"])) == (60, 64)
    assert str(tmp_path) not in encoder.card.to_json()
    again = Encoder(export_encoder("pixels:4", tmp_path / "again.onnx", calibrate=source))
    assert again.fingerprint == encoder.fingerprint != Encoder(export_pixels(4, tmp_path / "plain.onnx")).fingerprint


def test_bands_are_in_the_card(tmp_path: Path) -> None:
    assert Encoder(export_encoder("pixels:4", tmp_path / "pixels.onnx", bands=(4, 3, 2))).preprocess.bands == (4, 3, 2)


@pytest.mark.parametrize("size", ["0", "65", "-4", "4.5", "4x4", "", "99999", "\u0664"])
def test_a_size_that_is_none_is_refused(size: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected pixels:SIZE with a side from 1 to 64 pixels"):
        export_encoder(f"pixels:{size}", tmp_path / "pixels.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_mean_image_of_few_images_is_refused(tmp_path: Path) -> None:
    source = pictures(tmp_path / "pictures", 49)
    with pytest.raises(ConfigError, match="at least 50 images that can be read, found 49"):
        export_encoder("pixels:4", tmp_path / "pixels.onnx", calibrate=source)
    with pytest.raises(SourceError):
        export_encoder("pixels:4", tmp_path / "pixels.onnx", calibrate=tmp_path / "nowhere")
    assert [path.name for path in tmp_path.iterdir()] == ["pictures"]


def test_pixels_are_checked_before_they_get_their_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = Encoder.encode
    monkeypatch.setattr(Encoder, "encode", lambda self, pixels: genuine(self, pixels) * np.float32(1.01))
    with pytest.raises(ExportError, match="disagrees"):
        export_encoder("pixels:4", tmp_path / "pixels.onnx")
    assert list(tmp_path.iterdir()) == []


# -- the network of a run, untrained


CONFIG = resolve({"method": "simclr", "backbone": "conv4", "image_size": 16, "seed": 3})


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """What is read of a run: its configuration."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.toml").write_text(CONFIG.to_toml())
    return tmp_path / "run"


def test_the_untrained_network_of_a_run_has_the_weights_it_began_with(run_folder: Path, tmp_path: Path) -> None:
    untrained = Encoder(export_encoder(f"untrained:{run_folder}", tmp_path / "untrained.onnx"))
    pixels = check_pixels(untrained.preprocess)
    mean, std = (np.array(values, np.float32) for values in (untrained.preprocess.mean, untrained.preprocess.std))
    x = torch.from_numpy((pixels / np.float32(255) - mean) / std).permute(0, 3, 1, 2)
    torch.manual_seed(3)  # as `train` does before it builds
    with torch.no_grad():
        expected = build(CONFIG).export_backbone.eval()(x).numpy()
    np.testing.assert_allclose(untrained.encode(pixels), expected, atol=1e-4)
    assert (untrained.card.method, untrained.card.trained_on["count"]) == ("untrained", 0)


@pytest.mark.parametrize("init", ["timm", "another/run"])
def test_what_a_run_started_from_is_not_in_its_untrained_network(
    run_folder: Path, tmp_path: Path, init: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run_folder / "config.toml").write_text(dataclasses.replace(CONFIG, init=init).to_toml())
    taken = []
    monkeypatch.setattr("trainers.export.training_run.export_untrained", lambda config, out: taken.append(config))
    export_encoder(f"untrained:{run_folder}", tmp_path / "untrained.onnx")
    assert taken == [CONFIG]


def test_untrained_of_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected the folder of a training run, found none there"):
        export_encoder(f"untrained:{tmp_path / 'nowhere'}", tmp_path / "untrained.onnx")


# -- the command


@pytest.mark.parametrize(
    ("what", "kind"),
    [
        ("run", "run"), ("untrained:run", "untrained"), ("pixels:16", "pixels"), ("timm:resnet18", "timm"), ("untrained:a.onnx", "untrained"),
        ("torchvision:resnet18", "torchvision"), ("a.onnx", "file"), ("pixels", "run"),
    ],
)  # fmt: skip
def test_kinds_are_told_by_the_name(what: str, kind: str) -> None:
    assert kind_of(what) == kind


@pytest.mark.slow
def test_an_untrained_network_becomes_int8_as_any_other(run_folder: Path, tmp_path: Path) -> None:
    source = pictures(tmp_path / "pictures", 50)
    found = export_int8(f"untrained:{run_folder}", tmp_path / "int8.onnx", source, force=True)
    assert Encoder(found.encoder).card.branch.endswith(", int8")

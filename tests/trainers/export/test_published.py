"""Published models: their own preprocessing, no classifier, and mistakes named."""

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image

from featurestore.cli import cli
from featurestore.encoders.card import Card
from featurestore.encoders.encoder import Encoder
from featurestore.errors import ConfigError, ExportError
from featurestore.imaging import decode as images
from featurestore.imaging import preprocess
from featurestore.imaging.preprocess import Preprocess
from tests.trainers.runs import Notes
from trainers.export.published import export_published, from_timm, from_torchvision, read_timm
from trainers.export.targets import export_encoder
from trainers.models.backbones import try_size

CONFIG: dict[str, Any] = {"input_size": (3, 160, 160), "interpolation": "bicubic", "mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5), "crop_pct": 0.95, "crop_mode": "center"}  # fmt: skip


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    """Twice as wide as high, so that both cut the square at whole pixels."""
    coarse = np.random.default_rng(0).integers(0, 256, (30, 60, 3), np.uint8)
    return Image.fromarray(coarse).resize((600, 300), Image.Resampling.BICUBIC)


def normalised(picture: Image.Image, record: Preprocess) -> NDArray[np.floating]:
    pixels = preprocess.apply(images.upright(picture), record)
    return np.asarray((pixels / 255 - np.array(record.mean)) / np.array(record.std)).transpose(2, 0, 1)


def assert_same_input(ours: NDArray[np.floating], theirs: torch.Tensor, record: Preprocess) -> None:
    """Within the rounding to whole pixels, which the two do at different steps."""
    levels = np.abs(ours - theirs.numpy()) * 255 * np.array(record.std)[:, None, None]
    assert ours.shape == tuple(theirs.shape)
    assert levels.mean() < 1
    assert np.percentile(levels, 99) < 4


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_timms_preprocessing_is_read_as_timm_does_it(name: str, picture: Image.Image) -> None:
    model = from_timm(name, pretrained=False)
    library: Any = timm.data
    transform = library.create_transform(**library.resolve_model_data_config(model.backbone), is_training=False)
    assert_same_input(normalised(picture, model.record), transform(picture), model.record)


def test_torchvisions_preprocessing_is_read_as_torchvision_does_it(picture: Image.Image) -> None:
    model = from_torchvision("mobilenet_v3_small", pretrained=False)
    transform = torchvision.models.MobileNet_V3_Small_Weights.DEFAULT.transforms()
    assert_same_input(normalised(picture, model.record), transform(picture), model.record)


def test_the_shorter_side_is_the_size_over_the_crop() -> None:
    record = read_timm("x", CONFIG)
    assert (record.size, record.shorter_side, record.resize) == (160, math.floor(160 / 0.95), "shorter")
    squashed = read_timm("x", {**CONFIG, "crop_mode": "squash", "crop_pct": 1.0})
    assert (squashed.shorter_side, squashed.resize) == (160, "stretch")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"crop_mode": "border"}, "resized by 'border'"),
        ({"crop_mode": "squash"}, "'squash' with crop_pct 0.95"),
        ({"input_size": (3, 160, 192)}, "square RGB images, found one for 3 x 160 x 192"),
        ({"input_size": (1, 160, 160)}, "found one for 1 x 160 x 160"),
        ({"interpolation": "lanczos"}, "interpolation 'lanczos'"),
    ],
)
def test_preprocessing_that_is_not_ours_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_timm("x", {**CONFIG, **change})


@pytest.mark.parametrize(
    ("name", "dim"),
    [
        ("squeezenet1_0", None),
        ("shufflenet_v2_x0_5", 1024),
        *(
            pytest.param(name, dim, marks=pytest.mark.slow)
            for name, dim in {
                "resnet18": 512, "efficientnet_b0": 1280, "convnext_tiny": 768, "regnet_y_400mf": 440, "densenet121": 1024,
                "vit_b_16": 768, "swin_t": 768, "googlenet": 1024, "inception_v3": 2048, "maxvit_t": 512, "alexnet": 4096,
            }.items()
        ),
    ],
)  # fmt: skip
def test_torchvisions_classifier_is_removed(name: str, dim: int | None) -> None:
    if dim is None:
        with pytest.raises(ConfigError, match="expected a classifier that ends in a linear layer to 1000 classes"):
            from_torchvision(name, pretrained=False)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # two of them announce other first weights
        model = from_torchvision(name, pretrained=False)
    assert try_size(model.backbone, model.record.size) == dim


def test_the_vector_is_what_the_classifier_would_see() -> None:
    model = from_torchvision("mobilenet_v3_small", pretrained=False)
    torch.manual_seed(0)
    whole = torchvision.models.mobilenet_v3_small().eval()
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(whole.classifier[3](model.backbone(x)), whole(x))


@pytest.mark.slow
def test_a_published_model_becomes_an_encoder(tmp_path: Path) -> None:
    out = tmp_path / "encoder.onnx"
    result = CliRunner().invoke(cli, ["export", "timm:test_resnet", "--no-pretrained", "--out", str(out)])
    assert (result.exit_code, result.output) == (0, f"{out}\n")
    encoder = Encoder(out)
    card = encoder.card
    assert (card.method, card.backbone, card.branch) == ("timm", "test_resnet", "random")
    assert card.trained_on == {"count": 0, "sha256": "", "weights": "random"}
    assert encoder.encode(np.zeros((2, 160, 160, 3), np.uint8)).shape == (2, card.dim)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["timm:test_vit", "timm:test_convnext", "torchvision:mobilenet_v3_small"])
def test_published_models_of_all_kinds_pass_their_own_check(what: str, tmp_path: Path) -> None:
    library, _, name = what.partition(":")
    encoder = Encoder(export_published(library, name, tmp_path / "e.onnx", False, attention=name == "test_vit"))
    size = encoder.preprocess.size
    if name == "test_vit":
        assert encoder.attention(np.zeros((1, size, size, 3), np.uint8)).shape == (1, 2, 10, 10)


@pytest.mark.parametrize(
    ("library", "name", "near"),
    [
        ("timm", "resnett50", "resnet50"),
        ("torchvision", "resnett50", "resnet50"),
        ("torchvision", "vit_b_17", "vit_b_16"),
    ],
)
def test_an_unknown_name_is_answered_with_near_ones(library: str, name: str, near: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"{library}:{name}: expected the name .*; did you mean {near}\\?$"):
        export_published(library, name, tmp_path / "e.onnx", False)


def test_a_model_without_published_weights_is_named(tmp_path: Path) -> None:
    without = next(name for name in timm.list_models() if not timm.models.is_model_pretrained(name))
    with pytest.raises(ConfigError, match="has no published weights"):
        export_published("timm", without, tmp_path / "e.onnx")


@pytest.mark.parametrize(("library", "name"), [("timm", "test_resnet"), ("torchvision", "mobilenet_v3_small")])
def test_weights_that_cannot_be_fetched_are_one_named_error(
    library: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*arguments: object, **options: object) -> None:
        raise OSError("Name or service not known")

    monkeypatch.setattr(timm, "create_model", offline)
    monkeypatch.setattr(torchvision.models, "get_model", offline)
    with pytest.raises(ExportError, match=r"weights cannot be fetched \(Name or service not known\).*--no-pretrained"):
        export_published(library, name, tmp_path / "e.onnx")
    assert list(tmp_path.iterdir()) == []


def test_weights_of_a_file_go_into_the_published_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exported: list[tuple[Any, Card]] = []
    monkeypatch.setattr("trainers.export.published.export", lambda network, card, *_: exported.append((network, card)))
    given = timm.create_model("test_resnet")
    torch.save(given.state_dict(), tmp_path / "w.pth")
    notes = Notes()
    export_encoder("timm:test_resnet", tmp_path / "e.onnx", weights=tmp_path / "w.pth", listener=notes)
    [(network, card)] = exported
    torch.testing.assert_close(network.state_dict()["conv1.0.weight"], given.state_dict()["conv1.0.weight"])
    assert card.trained_on["weights"].startswith("w.pth sha256:")
    assert (card.branch, card.preprocess.mean) == ("weights of a file", (0.5, 0.5, 0.5))
    assert "tensors taken" in notes.lines[0]
    for what in ("torchvision:mobilenet_v3_small", "timm:test_vit"):
        with pytest.raises(
            ConfigError, match=r"--weights .*w.pth: expected \d+ tensors of the network, beginning with"
        ):
            export_encoder(what, tmp_path / "e.onnx", weights=tmp_path / "w.pth")


@pytest.mark.parametrize("wrong", [["run"], ["a.onnx"], ["timm:test_resnet", "--no-pretrained"]])
def test_weights_belong_to_a_published_network(wrong: list[str], tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["export", *wrong, "--weights", "w.pth", "--out", str(tmp_path / "e.onnx")])
    assert result.exit_code == 2
    assert "--weights belongs to timm:NAME or torchvision:NAME" in result.output

"""What a training starts from: the kinds, and the settings that known weights bring along."""

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import nn

from featurestore.errors import ConfigError
from featurestore.progress import Listener
from featurestore.sources import ImageFile
from trainers.config.settle import settle
from trainers.data.images import list_training_files
from trainers.models import backbones
from trainers.models.start import describe_start, kind_of_start, start_from
from trainers.training.setup import build, preprocess_of

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.fixture
def files(few_shapes: Path) -> list[ImageFile]:
    return list_training_files(few_shapes).training


@pytest.fixture
def weights(tmp_path: Path) -> str:
    torch.save(timm.create_model("test_resnet").state_dict(), tmp_path / "w.pt")
    return str(tmp_path / "w.pt")


def settled(files: list[ImageFile], **given: Any) -> Any:
    return settle(files, {"method": "simclr", "device": "cpu", **given}, lambda *_: 1.0, Listener()).config


def test_the_kind_is_told_by_name_and_file(tmp_path: Path) -> None:
    (tmp_path / "run.pt").mkdir()
    (tmp_path / "w.onnx").touch()
    starts = ["timm", "torchvision:resnet18", "nowhere/w.safetensors", str(tmp_path / "run.pt")]
    assert [kind_of_start(start) for start in starts] == ["timm", "torchvision", "file", "run"]
    for start, found in ((tmp_path / "nowhere", "found nothing there"), (tmp_path / "w.onnx", "found another file")):
        with pytest.raises(ConfigError, match=found):
            kind_of_start(str(start))


def test_published_weights_choose_network_size_and_normalisation(files: list[ImageFile], weights: str) -> None:
    plain = settled(files, init="timm")
    assert (plain.backbone, plain.image_size, plain.stem, plain.mean, plain.std) == (
        "resnet18",
        224,
        "published",
        *IMAGENET,
    )
    other = settled(files, init="torchvision:resnet34")
    assert (other.backbone, other.image_size, other.mean, other.std) == ("resnet34", 224, *IMAGENET)
    own = settled(files, init=weights, backbone="test_resnet")
    assert (own.image_size, own.mean, own.std, own.stem) == (160, (0.5,) * 3, (0.5,) * 3, "published")
    assert (preprocess_of(own).mean, preprocess_of(own).size) == ((0.5,) * 3, 160)
    assert {view.mean for view in build(own).views} == {(0.5,) * 3}


def test_weights_of_a_file_choose_their_own_network(
    files: list[ImageFile], weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By names behind a prefix, or in order; not a network of which the file has only a part, or more."""
    assert (
        settled(files, init=weights).backbone == "resnet18"
    )  # the default: the file fits none of those that are tried
    monkeypatch.setattr("trainers.models.start.TIMM", ("test_efficientnet", "test_resnet"))
    assert settled(files, init=weights).backbone == "test_resnet"
    held = torch.load(weights)
    torch.save({f"module.{name}": tensor for name, tensor in held.items()}, weights)
    assert settled(files, init=weights).backbone == "test_resnet"
    torch.save(
        {f"{number}.{name.rpartition('.')[2]}": tensor for number, (name, tensor) in enumerate(held.items())}, weights
    )
    assert settled(files, init=weights).backbone == "test_resnet"
    torch.save(dict(list(held.items())[:-6]), weights)
    assert settled(files, init=weights).backbone == "resnet18"
    torch.save({**held, **{f"deeper.{n}.weight": torch.zeros(3) for n in range(9)}}, weights)
    assert settled(files, init=weights).backbone == "resnet18"


def test_what_is_given_wins(files: list[ImageFile], weights: str) -> None:
    given = settled(files, init=weights, backbone="test_resnet", image_size=48, mean=[0.1, 0.2, 0.3], stem="auto")
    assert (given.image_size, given.mean, given.stem) == (48, (0.1, 0.2, 0.3), "published")


@pytest.mark.parametrize(("init", "words"), [("torchvision:resnett18", "did you mean resnet18"), ("torchvision:mobilenet_v3_small", "--backbone")])  # fmt: skip
def test_a_network_that_is_not_known_is_named(init: str, words: str, files: list[ImageFile]) -> None:
    with pytest.raises(ConfigError, match=words):
        settled(files, init=init)


def test_a_small_size_keeps_the_published_first_layer(files: list[ImageFile], weights: str) -> None:
    lines: list[str] = []
    config = settled(files, init=weights, backbone="test_resnet", image_size=32)
    network = build(config, lines.append).export_backbone
    torch.testing.assert_close(network.state_dict()["conv1.0.weight"], torch.load(weights)["conv1.0.weight"])
    assert not isinstance(network.get_submodule("maxpool"), nn.Identity)
    assert any("published first layers stay, though images are 32 px" in line for line in lines)
    assert any("tensors taken" in line for line in lines)


def test_weights_of_timm_keep_the_published_first_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault: at 32 px the published `conv1` gave way to a random 3x3 convolution."""
    real = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, pretrained, **options: real(name, **options))
    backbone, notes = backbones.make_backbone("resnet18", 32, pretrained=True)
    assert backbone.get_parameter("conv1.weight").shape == (64, 3, 7, 7)
    assert "CIFAR" not in " ".join(notes)


def test_weights_of_torchvision_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = torchvision.models.resnet18()
    monkeypatch.setattr(torchvision.models, "get_model", lambda name, weights, progress: theirs)
    own: nn.Module = timm.create_model("resnet18", num_classes=0)
    assert "tensors taken" in start_from(own, "torchvision:resnet18")[0]
    torch.testing.assert_close(own.get_parameter("conv1.weight"), theirs.conv1.weight)
    assert describe_start("torchvision:resnet18", "resnet18") == "ResNet18_Weights.IMAGENET1K_V1"
    assert describe_start("timm", "resnet18.a1_in1k") == "timm/resnet18.a1_in1k"


def offline(*_: object, **__: object) -> None:
    raise OSError("Name or service not known")


def test_weights_that_cannot_be_fetched_are_one_named_error(monkeypatch: pytest.MonkeyPatch) -> None:
    network = timm.create_model("test_resnet", num_classes=0)
    monkeypatch.setattr(timm, "create_model", offline)
    monkeypatch.setattr(torchvision.models, "get_model", offline)
    for fetch in (
        lambda: backbones.make_backbone("resnet18", 224, pretrained=True),
        lambda: start_from(network, "torchvision:resnet18"),
    ):
        with pytest.raises(ConfigError, match=r"cannot be fetched \(Name or service not known\).*--init FILE"):
            fetch()

from typing import Any

import pytest
import torch
from torch import nn

from featurestore.errors import ConfigError
from trainers.models.backbones import feature_dim, make_backbone


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "noted"), [(32, (3, 3), (1, 1), True), (96, (7, 7), (2, 2), False)]
)
def test_small_images_get_the_cifar_stem_with_a_note(
    size: int, kernel: tuple[int, int], stride: tuple[int, int], noted: bool
) -> None:
    backbone, notes = make_backbone("resnet18", size)
    stem = backbone.get_submodule("conv1")
    assert isinstance(stem, nn.Conv2d)
    assert (stem.kernel_size, stem.stride) == (kernel, stride)
    assert isinstance(backbone.get_submodule("maxpool"), nn.Identity) == noted
    assert any("CIFAR stem" in note for note in notes) == noted


def test_a_drop_path_without_effect_is_noted() -> None:
    assert "drop_path 0.1 has no effect" in make_backbone("conv4", 32, drop_path=0.1)[1][0]
    assert make_backbone("conv4", 32)[1] == []


@pytest.mark.parametrize(
    ("name", "size"), [("conv4", 16), ("conv4", 37), ("resnet10t", 64), ("mobilenetv3_small_050", 32)]
)
def test_a_backbone_gives_vectors_of_the_dimension_it_says(name: str, size: int) -> None:
    backbone, _ = make_backbone(name, size)
    assert backbone(torch.randn(2, 3, size, size)).shape == (2, feature_dim(backbone))


@pytest.mark.parametrize("pool", ["token", "avg"])
def test_registers_are_tokens_that_the_vector_leaves_out(pool: str) -> None:
    backbone: Any = make_backbone("test_vit", 16, 4, registers=3)[0].eval()
    backbone.global_pool = pool
    x = torch.randn(2, 3, 16, 16)
    tokens = backbone.forward_features(x)
    assert tokens.shape == (2, 1 + 3 + 16, feature_dim(backbone))
    torch.testing.assert_close(backbone(x), tokens[:, 0] if pool == "token" else tokens[:, 4:].mean(dim=1))
    with torch.no_grad():
        backbone.reg_token.copy_(torch.randn(1, 3, feature_dim(backbone)))  # a constant would be lost in the first norm
    assert not torch.allclose(backbone.forward_features(x)[:, 4:], tokens[:, 4:])  # the patches attend to them


def test_a_backbone_keeps_the_registers_of_its_name() -> None:
    name = "vit_pwee_patch16_reg1_gap_256"
    counts = [make_backbone(name, 32, registers=n)[0].get_parameter("reg_token").shape[1] for n in (0, 2)]
    assert counts == [1, 2]


@pytest.mark.parametrize(
    ("name", "pretrained", "words"),
    [
        ("conv4", False, ["conv4", "leave out", "registers"]),
        ("resnet18", False, ["resnet18", "leave out registers", "vit"]),
        ("vit_tiny_patch16_224", True, ["vit_tiny_patch16_224", "leave out registers", "reg4"]),
    ],
)
def test_registers_that_a_backbone_cannot_have_are_refused(name: str, pretrained: bool, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        make_backbone(name, 32, pretrained=pretrained, registers=4)
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize(
    ("name", "size", "words"),
    [
        ("resnet81", 32, ["resnet81", "conv4", "timm"]),
        ("conv4", 8, ["8", "at least 16"]),
        ("vit_tiny_patch16_224", 40, ["vit_tiny_patch16_224", "40 px", "--image-size"]),
    ],
)
def test_what_is_wrong_is_named(name: str, size: int, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        make_backbone(name, size)
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize(
    ("name", "hint"),
    [("resnet19", "did you mean resnet18?"), ("conv5", "did you mean conv4?"), ("zzzzz", "such as resnet18")],
)
def test_a_misspelt_name_is_answered_with_the_nearest_one(name: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_backbone(name, 32)
    assert str(caught.value) == f"backbone {name!r}: expected conv4, or a name that timm knows; {hint}"

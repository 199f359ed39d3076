"""MAE: patches, their positions, and the networks it accepts."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from featurestore.errors import ConfigError
from tests.trainers.small import AT, shallow_vit
from trainers.augmentations import AugmentConfig
from trainers.config.resolve import resolve
from trainers.methods.mae import MAE, MAESettings
from trainers.models.backbones import patch_tokens
from trainers.training.setup import build

VIT_DIM = 64


def mae(mask: float = 0.75) -> MAE:
    settings = MAESettings(mask=mask, decoder_dim=VIT_DIM, decoder_depth=1, decoder_heads=2)
    return MAE(shallow_vit(16, patch=4), settings, MAE.make_views(AugmentConfig(), 16, settings)).eval()


def test_patches_are_in_the_order_of_the_tokens() -> None:
    method, x = mae(), torch.randn(2, 3, 16, 16)
    patches = method._patches(x)
    for number in range(16):
        row, column = divmod(number, 4)
        piece = x[:, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
        assert torch.equal(patches[:, number], piece.flatten(1))
    kernel = method.backbone.get_parameter("patch_embed.proj.weight").flatten(1)
    places = method.backbone.get_parameter("pos_embed")[:, 1:]
    expected = patches @ kernel.T + method.backbone.get_parameter("patch_embed.proj.bias") + places
    torch.testing.assert_close(patch_tokens(method.backbone, x), expected, atol=1e-4, rtol=1e-4)


class Exactly(nn.Module):
    """Return a fixed answer, or the input, and remember the input."""

    def __init__(self, answer: Tensor | None = None) -> None:
        super().__init__()
        self.answer, self.seen = answer, torch.empty(0)

    def forward(self, x: Tensor) -> Tensor:
        self.seen = x.detach()
        return x if self.answer is None else self.answer


def passing_through(method: MAE) -> Exactly:
    """Make encoder and decoder pass tokens through, and watch what the decoder gets."""
    decoder = Exactly()
    for owner, part in ((method.backbone, "blocks"), (method.backbone, "norm"), (method, "enter")):
        owner.register_module(part, nn.Identity())
    method.register_module("decoder", decoder)
    with torch.no_grad():
        method.place.zero_()
    return decoder


@pytest.mark.parametrize(("mask", "kept"), [(0.75, 4), (0.5, 8), (0.99, 1)])
def test_seen_patches_return_to_their_positions_and_the_others_are_blank(mask: float, kept: int) -> None:
    method, x = mae(mask), torch.randn(6, 3, 16, 16)
    decoder = passing_through(method)
    method.loss([x], AT)
    tokens = patch_tokens(method.backbone, x)
    blank = (decoder.seen[:, 1:] == method.hidden_token).all(dim=2)
    assert (~blank).sum(dim=1).tolist() == [kept] * 6
    torch.testing.assert_close(decoder.seen[:, 1:][~blank], tokens[~blank])
    assert len({tuple(row) for row in blank.tolist()}) > 1  # every image has a mask of its own


def test_the_loss_is_zero_for_the_true_patches_and_large_for_shuffled_ones() -> None:
    method, x = mae(), torch.randn(6, 3, 16, 16)
    decoder = passing_through(method)
    method.loss([x], AT)
    blank = (decoder.seen[:, 1:] == method.hidden_token).all(dim=2)
    patches = method._patches(x)
    true = (patches - patches.mean(dim=2, keepdim=True)) / (patches.var(dim=2, keepdim=True) + 1e-6).sqrt()

    def loss_of(drawn: Tensor) -> float:
        method.register_module("leave", Exactly(drawn))
        return method.loss([x], AT).loss.item()

    assert loss_of(true) == pytest.approx(0, abs=1e-9)
    assert loss_of(torch.where(blank[:, :, None], true, 7.0)) == pytest.approx(0, abs=1e-9)  # seen ones do not count
    assert loss_of(torch.where(blank[:, :, None], 0.0, true)) == pytest.approx(47 / 48, rel=1e-3)
    assert loss_of(true.roll(1, dims=1)) > 1


def test_the_vector_is_the_mean_of_the_patches() -> None:
    """No loss reaches what the class token gives."""
    backbone: Any = mae().backbone
    x = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(backbone(x), backbone.forward_features(x)[:, 1:].mean(dim=1))


@pytest.mark.parametrize("backbone", ["conv4", "vit_pwee_patch16_reg1_gap_256", "deit_tiny_patch16_224"])
def test_mae_refuses_all_but_plain_vits(backbone: str) -> None:
    with pytest.raises(ConfigError, match=r"plain ViT.*vit_tiny"):
        build(resolve({"method": "mae", "backbone": backbone, "image_size": 224}))


def test_mae_refuses_views_of_another_size() -> None:
    vit = {"method": "mae", "backbone": "test_vit", "image_size": 16, "patch_size": 4}
    with pytest.raises(ConfigError, match="leave out view_size"):
        build(resolve(vit, {"view_size": 12}))
    build(resolve(vit, {"view_size": 16}))

"""Heads: their layers, and the prototypes of DINO's."""

import pytest
import torch
from torch import Tensor, nn

from trainers.models.heads import DINOHead, byol_mlp, simclr_projection


def unit(v: Tensor) -> Tensor:
    return torch.as_tensor(v / v.norm())


def test_dinos_prototypes_have_unit_length_whatever_their_parameter() -> None:
    head = DINOHead(8, 16, 4, 10)
    x = torch.randn(5, 8)
    logits = head(x)
    bottleneck = head.layers(x)
    expected = torch.stack([torch.stack([unit(b) @ unit(p) for p in head.prototypes]) for b in bottleneck])
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-4)
    with torch.no_grad():
        head.prototypes.mul_(torch.rand(10, 1) * 5 + 0.1)
    torch.testing.assert_close(head(x), logits, atol=1e-5, rtol=1e-4)


def test_dinos_head_starts_with_a_spread_of_two_hundredths() -> None:
    for layer in DINOHead(128, 256, 64, 10).layers:
        if isinstance(layer, nn.Linear):
            assert layer.weight.std().item() == pytest.approx(0.02, rel=0.05)
            assert not layer.bias.any()


def test_dinos_head_has_a_norm_after_each_hidden_layer_only_where_asked() -> None:
    hidden = [nn.Linear, nn.GELU] * 2
    assert [type(layer) for layer in DINOHead(8, 16, 4, 10).layers] == [*hidden, nn.Linear]
    head = DINOHead(8, 16, 4, 10, norm=True)
    normed = [nn.Linear, nn.BatchNorm1d, nn.GELU] * 2
    assert [type(layer) for layer in head.layers] == [*normed, nn.Linear]
    assert len({id(layer) for layer in head.layers}) == 7  # a norm used twice would mix the statistics of both
    x = torch.randn(64, 8)
    torch.testing.assert_close(head(1000 * x), head(100 * x), atol=1e-4, rtol=0)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_simclr_projection_ends_in_a_norm_without_shift(layers: int) -> None:
    head = simclr_projection(8, 16, 4, layers)
    assert sum(isinstance(m, nn.Linear) for m in head) == layers
    assert sum(isinstance(m, nn.ReLU) for m in head) == layers - 1
    last = head[-1]
    assert isinstance(last, nn.BatchNorm1d)
    assert not last.bias.requires_grad
    z = head(torch.randn(32, 8))
    torch.testing.assert_close(z.mean(dim=0), torch.zeros(4), atol=1e-5, rtol=0)


def test_byol_mlp_has_a_bare_last_layer() -> None:
    head = byol_mlp(8, 16, 4)
    assert [type(m) for m in head] == [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear]
    assert head[0].bias is not None
    assert head[-1].bias is None

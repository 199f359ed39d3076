"""Vectors that count less what views of one image differ in."""

import numpy as np
import pytest
import torch

from featurestore.ann.normalize import unit_rows
from tests.trainers.models.test_side_by_side import Pixels
from trainers.models import steady
from trainers.models.backbones import feature_dim, make_backbone
from trainers.models.readout import with_layout
from trainers.models.steady import Steady, fit_views


def test_views_differ_equally_in_all_directions_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steady, "SHRINKAGE", 0.0)
    rng = np.random.default_rng(0)
    images = rng.normal(size=(400, 5))
    both = np.concatenate([images + rng.normal(size=(400, 5)) * [3, 1, 1, 0.1, 1] for _ in range(2)])
    found = fit_views(both)
    np.testing.assert_allclose(found["mean"], both.mean(axis=0), atol=1e-6)
    first, second = np.split((both - found["mean"].numpy()) @ found["matrix"].numpy(), 2)
    np.testing.assert_allclose((first - second).T @ (first - second) / 400, np.eye(5), atol=1e-4)
    np.testing.assert_allclose(found["matrix"], found["matrix"].T, atol=1e-5)


def test_shrinkage_keeps_directions_in_which_views_never_differ() -> None:
    both = unit_rows(np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32))
    both[10:, :3] = both[:10, :3]
    assert torch.isfinite(fit_views(both)["matrix"]).all()
    assert torch.isfinite(fit_views(np.concatenate([both[:10], both[:10]]) + 0)["matrix"]).all()


@torch.no_grad()
def test_the_maps_of_a_network_stay_and_its_output_is_whitened() -> None:
    network = make_backbone("test_resnet", 64)[0].eval()
    dim = feature_dim(network)
    mean, matrix = torch.randn(dim), torch.randn(dim, dim)
    wrapped = Steady(network, mean, matrix).eval()
    plain, layout = with_layout(network, 64), with_layout(wrapped, 64)
    assert plain is not None
    assert layout is not None
    x = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(layout(x)[:, :dim], wrapped(x))
    torch.testing.assert_close(layout(x)[:, dim:], plain(x)[:, dim:])
    assert (
        with_layout(Steady(Pixels(8), torch.zeros(192), torch.eye(192)), 8) is None
    )  # of a network that tells no maps

"""A trained network beside known weights: what is measured by one pass, and what is fitted to views."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch

from featurestore.ann.normalize import unit_rows
from featurestore.errors import TrainingError
from tests.trainers.runs import TINY
from trainers.augmentations import AugmentConfig, ViewSpec
from trainers.config.resolve import resolve
from trainers.config.schema import Config
from trainers.models.backbones import OWN
from trainers.models.steady import fit_views
from trainers.training.beside import beside, known_weights, steadied, with_fitted
from trainers.training.contender import Contender
from trainers.training.contenders import trained
from trainers.training.features import finished
from trainers.training.setup import build
from trainers.training.view_retrieval import encode_two_views

IDENTITY: dict[str, Any] = {"images": 4, "sha256": "ab", "weights": "w"}
VIEW = ViewSpec(24, 0.5, 1.0, AugmentConfig())


@pytest.fixture
def config(tmp_path: Path) -> Config:
    torch.save(timm.create_model("test_resnet", num_classes=0).state_dict(), tmp_path / "w.pth")
    base = {"base": str(tmp_path / "w.pth"), "base_backbone": "test_resnet", "base_size": 64}
    return resolve({**TINY, "image_size": 32, **base})


@pytest.fixture
def known(config: Config) -> Contender:
    return known_weights(config, IDENTITY, torch.device("cpu"))


@torch.no_grad()
def test_one_pass_gives_the_vectors_of_all_forms(config: Config, known: Contender) -> None:
    steady = steadied(known, torch.randint(256, (70, 3, 64, 64), dtype=torch.uint8), VIEW)
    found = beside(known, trained(config, build(config), IDENTITY), config, steady)
    assert [one.name for one, _ in found.made] == [
        "own encoder beside start weights",
        "own encoder beside start weights, with layout",
        "start weights",
        "start weights, with layout",
        "own encoder beside fitted start weights",
        "own encoder beside fitted start weights, with layout",
    ]
    x = torch.randn(2, 3, 64, 64)
    every = found.network.eval()(x).numpy()
    for contender, make in found.made:
        vectors = contender.network.eval()(x).numpy()
        measured, _ = finished(make(every), None, contender.parts, whiten=False)
        np.testing.assert_allclose(unit_rows(vectors), measured, atol=1e-5)
    assert found.made[0][0].backbone == "test_resnet and conv4"


@torch.no_grad()
def test_a_known_network_that_has_no_layout_once_it_is_fitted(config: Config, tmp_path: Path) -> None:
    """conv4 gives its maps in another way than networks of timm."""
    torch.save(OWN["conv4"]().state_dict(), tmp_path / "conv4.pth")
    config = dataclasses.replace(config, base=str(tmp_path / "conv4.pth"), base_backbone="conv4")
    known = known_weights(config, IDENTITY, torch.device("cpu"))
    steady = steadied(known, torch.randint(256, (70, 3, 64, 64), dtype=torch.uint8), VIEW)
    found = beside(known, trained(config, build(config), IDENTITY), config, steady)
    assert [one.name for one, _ in found.made if one.fitted] == ["own encoder beside fitted start weights"]
    every = found.network.eval()(torch.randn(2, 3, 64, 64)).numpy()
    for contender, make in found.made:
        assert make(every).shape[1] == contender.dim


@torch.no_grad()
def test_known_weights_are_fitted_to_views_of_their_own_size(known: Contender) -> None:
    pixels = torch.randint(256, (70, 3, 64, 64), dtype=torch.uint8)
    steady = steadied(known, pixels, VIEW)
    expected = fit_views(encode_two_views(known.network, pixels, ViewSpec(64, 0.5, 1.0, AugmentConfig())))
    assert steady is not None
    assert steady.fitted is not None
    for name, value in expected.items():
        torch.testing.assert_close(steady.fitted[name], value)
    x = torch.randn(2, 3, 64, 64)
    output = torch.from_numpy(unit_rows(known.network.eval()(x).numpy()))
    mapped = (output - expected["mean"]) @ expected["matrix"]
    np.testing.assert_allclose(steady.network.eval()(x), unit_rows(mapped.numpy()), atol=1e-5)
    assert steadied(known, pixels[:63], VIEW) is None  # too few images


@pytest.mark.parametrize(
    "change", [{"mean": torch.zeros(3)}, {"matrix": torch.full((192, 192), torch.nan)}, {"mean": 1}]
)
def test_what_a_damaged_checkpoint_has_fitted_is_named(known: Contender, change: dict[str, Any]) -> None:
    assert with_fitted(known, None) is known
    fitted = {"mean": torch.zeros(known.dim), "matrix": torch.eye(known.dim)}
    assert with_fitted(known, fitted).fitted == fitted
    with pytest.raises(TrainingError, match="does not fit its known weights; train again"):
        with_fitted(known, fitted | change)

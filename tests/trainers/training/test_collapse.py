"""The figures of the monitor, and the collapses that are found in them."""

import math

import pytest
import torch

from tests.trainers.small import make
from trainers.training import monitor
from trainers.training.collapse import collapse, compared_loss, is_uniform

HEALTHY = {"feature_std": 1.0, "rankme": 20.0, "loss": 3.0, "epoch": 9}
UNIFORM = math.log(1024)


def test_feature_std_is_one_on_the_sphere_and_zero_at_a_point() -> None:
    assert monitor.feature_std(torch.randn(4000, 32)) == pytest.approx(1.0, abs=0.02)
    assert monitor.feature_std(torch.ones(100, 32) + 1e-6 * torch.randn(100, 32)) < 1e-3


def test_rankme_counts_dimensions() -> None:
    assert monitor.rankme(torch.eye(8).repeat(4, 1)) == pytest.approx(8, rel=1e-3)
    assert monitor.rankme(torch.outer(torch.randn(50), torch.randn(8))) == pytest.approx(1, rel=1e-3)
    z = torch.randn(60, 16, requires_grad=True)
    singular = torch.linalg.svdvals(z.detach().double())
    shares = (singular / singular.sum() + 1e-7).tolist()
    assert monitor.rankme(z) == pytest.approx(math.exp(-sum(p * math.log(p) for p in shares)), rel=1e-5)
    assert monitor.rankme(z.bfloat16()) == pytest.approx(monitor.rankme(z), rel=1e-2)


@pytest.mark.parametrize(
    ("figures", "name", "words"),
    [
        ({"feature_std": 0.02}, "point", "nearly equal"),
        ({"rankme": 1.1}, "line", "on a line"),
        ({"width": 0.01}, "point", "shrink to zero"),
        ({"prototypes_used": 1.01}, "one prototype", "fall on one prototype"),
        ({"feature_std": 0.02, "loss": 0.001}, "point", "nearly equal"),  # a splendid loss
    ],
)
def test_a_collapse_is_named_with_its_cures(figures: dict[str, float], name: str, words: str) -> None:
    found = collapse({**HEALTHY, **figures}, UNIFORM, {name: "a cure of the method"})
    assert found is not None
    assert found.name == name
    assert words in found.text
    assert "likely cures: a cure of the method, a" in found.text  # the general ones follow
    without = collapse({**HEALTHY, **figures}, UNIFORM, {})
    assert without is not None
    assert without.text == found.text.replace("a cure of the method, ", "")


@pytest.mark.parametrize(
    "figures",
    [
        {},
        {"loss": 0.001},
        {"prototypes_used": 1.01, "epoch": 1},  # the centre has not moved yet
        {"width": 0.9, "prototypes_used": 40.0},
    ],
)
def test_a_healthy_training_is_not_reported(figures: dict[str, float]) -> None:
    for uniform in (None, UNIFORM):
        assert collapse({**HEALTHY, **figures}, uniform, {}) is None


def test_a_uniform_output_is_a_collapse_when_it_stays() -> None:
    """Every training starts there, and a healthy loss may pass it on its way."""
    figures = {**HEALTHY, "loss": 6.93}
    assert is_uniform(6.93, UNIFORM)
    assert not is_uniform(6.9, UNIFORM)
    assert not is_uniform(6.93, None)
    assert collapse(figures, UNIFORM, {}, plateau=3) is None
    found = collapse(figures, UNIFORM, {}, plateau=4)
    assert found is not None
    assert found.name == "uniform"
    assert "ln(P)" in found.text
    with_patches = {**figures, "loss": 12.0, "class_loss": 6.93}
    assert compared_loss(with_patches) == 6.93
    assert collapse(with_patches, UNIFORM, {}, plateau=4) == found
    assert compared_loss(figures) == 6.93
    assert make("ibot").uniform_loss == make("dino").uniform_loss == pytest.approx(math.log(12))
    assert make("jigsaw").uniform_loss == pytest.approx(math.log(6))

"""Gradients, scales, views and the reading of a loss."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.trainers.small import AT, batch, close, fails, make
from trainers.losses import (
    info_nce_batch,
    negative_cosine,
    nt_xent,
    sigreg,
    spread_from_centre,
)
from trainers.methods import METHODS
from trainers.methods.byol import BYOL
from trainers.methods.dino import DINO
from trainers.methods.lejepa import LeJEPA
from trainers.methods.moco import MoCo
from trainers.methods.moco_v3 import MoCoV3
from trainers.methods.simclr import SimCLR
from trainers.training import monitor


def check_negatives_get_gradient(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Every view is pushed away by all others also as a negative, and finds its own image in any row."""
    rng = torch.Generator().manual_seed(0)
    z1, z2 = (torch.randn(4, 3, generator=rng).requires_grad_() for _ in range(2))
    ours = torch.autograd.grad(loss(z1, z2), (z1, z2))
    z = torch.cat([z1, z2])
    unit = z / z.norm(dim=1, keepdim=True)
    terms = []
    for i in range(8):
        others = [j for j in range(8) if j != i]
        scores = torch.stack([unit[i] @ unit[j] / 0.5 for j in others])
        terms.append(scores.logsumexp(dim=0) - scores[others.index((i + 4) % 8)])
    for gradient, expected in zip(ours, torch.autograd.grad(torch.stack(terms).mean(), (z1, z2)), strict=True):
        close(gradient, expected)


def test_mistake_14_negatives_without_gradient_or_labels_without_offset() -> None:
    """Two processes, and the same mistake in their gather, are in test_distributed.py."""

    def detached(z1: Tensor, z2: Tensor) -> Tensor:
        z = F.normalize(torch.cat([z1, z2]), dim=1)
        logits = (z @ z.detach().T / 0.5).masked_fill(torch.eye(8, dtype=torch.bool), float("-inf"))
        return F.cross_entropy(logits, torch.arange(8).roll(4))

    def without_offset(z1: Tensor, z2: Tensor) -> Tensor:
        z = F.normalize(torch.cat([z1, z2]), dim=1)
        logits = (z @ z.T / 0.5).masked_fill(torch.eye(8, dtype=torch.bool), float("-inf"))
        return F.cross_entropy(logits, torch.arange(4).roll(2).repeat(2))

    check_negatives_get_gradient(lambda z1, z2: nt_xent(z1, z2, 0.5))
    fails(check_negatives_get_gradient, detached)
    fails(check_negatives_get_gradient, without_offset)


def check_scales(losses: dict[str, float]) -> None:
    """What a method's loss is where all vectors of 8 images are equal (jigsaw: 6 orders told apart by nothing)."""
    assert losses == pytest.approx({
        "simclr": math.log(15),  # mean over 2N views; the authors' code adds both directions: twice that
        "moco-v2": math.log(1 + 32),  # mean of both directions
        "moco-v3": 2 * (2 * 0.2) * math.log(8),  # sum of both directions, each times 2T
        "dino": math.log(12),  # mean over pairs of views
        "byol": 0.0,  # opposite vectors: 8, the sum of both directions of 2 - 2 cos
        "lejepa": 0.05 * collapsed_sigreg(8),  # weight x SIGReg + (1 - weight) x agreement
    }, rel=1e-3, abs=1e-4)  # fmt: skip


def collapsed_sigreg(n: int) -> float:
    return sigreg(torch.zeros(n, 1), torch.ones(1, 1)).item()


ANSWERS = {  # what gives the vectors that the loss compares; of dino and lejepa it is all zeros already
    "simclr": ["projection"],
    "moco-v2": ["online", "teacher"],
    "moco-v3": ["predictor", "teacher"],
    "dino": [],
    "byol": ["predictor", "teacher"],
    "lejepa": [],
}


def at_equal_vectors() -> dict[str, float]:
    losses = {}
    for name in ANSWERS:
        method = make(name)
        with torch.no_grad():
            for key, p in method.named_parameters():
                p.fill_(0.0 if key.endswith("weight") else 1.0)  # the answer is the last shift, or nothing
        if isinstance(method, MoCo):
            method.keys.copy_(F.normalize(torch.ones_like(method.keys), dim=1))
        for end in ANSWERS[name]:
            getattr(method, end).register_forward_hook(lambda module, inputs, output: torch.ones_like(output))
        if name == "lejepa":
            method.projection.register_forward_hook(lambda module, inputs, output: torch.zeros_like(output))
        losses[name] = method.loss(batch(method), AT).loss.item()
    return losses


def test_mistake_15_the_scale_of_a_loss_is_not_the_one_its_learning_rate_is_for() -> None:
    """docs/guides/recipes.md states them."""
    losses = at_equal_vectors()
    check_scales(losses)
    for name, factor in (
        ("simclr", 2.0),
        ("moco-v3", 1 / (2 * 0.2)),
        ("moco-v3", 0.5),
        ("moco-v2", 2.0),
        ("lejepa", 20.0),
    ):
        fails(check_scales, {**losses, name: factor * losses[name]})
    p = torch.randn(5, 4)
    assert negative_cosine(p, -p).item() == pytest.approx(4.0)
    assert info_nce_batch(p, p, 1e3).item() == pytest.approx(2e3 * math.log(5), rel=1e-3)


def check_every_view_counts(method: LeJEPA) -> None:
    views = batch(method)
    step = method.loss(views, AT)
    with torch.no_grad():
        z = method.projection(method.backbone(torch.cat(views))).view(len(views), 8, -1)
        rng = torch.Generator().manual_seed(AT.seed)
        directions = F.normalize(torch.randn(8, 16, generator=rng), dim=0)
        spread = sum(sigreg(view, directions).item() for view in z) / len(z)
        centre = (z[0] + z[1]) / 2
        agreement = sum(((view - centre) ** 2).mean().item() for view in z) / len(z)
    assert step.logs["sigreg"] == pytest.approx(spread, rel=1e-3)
    assert step.logs["agreement"] == pytest.approx(agreement, rel=1e-3)
    assert step.loss.item() == pytest.approx(0.05 * spread + 0.95 * agreement, rel=1e-3)


def test_mistake_19_lejepa_leaves_the_whole_views_out(monkeypatch: pytest.MonkeyPatch) -> None:
    module = "trainers.methods.lejepa"
    method = make("lejepa", local_crops=2, local_size=1.0)
    check_every_view_counts(method)
    with monkeypatch.context() as patch:
        patch.setattr(f"{module}.spread_from_centre", lambda z, centre_views: spread_from_centre(z, 2) * 4 / 2)
        fails(check_every_view_counts, method)  # of the local views alone, the whole ones in the centre only
    with monkeypatch.context() as patch:
        calls: list[int] = []

        def local_only(z: Tensor, directions: Tensor) -> Tensor:
            calls.append(1)
            return sigreg(z, directions) * (0.0 if len(calls) <= 2 else 2.0)

        patch.setattr(f"{module}.sigreg", local_only)
        fails(check_every_view_counts, method)


Verdict = Callable[[dict[str, float], float | None], object]


def check_collapses_are_told(verdict: Verdict) -> None:
    """Both kinds are told, whatever the loss seems to say; a healthy run with the same losses is not."""
    healthy = {"feature_std": 0.9, "rankme": 30.0, "epoch": 9.0}
    assert verdict({**healthy, "loss": 8.3178}, math.log(4096))  # ln 4096: the output is uniform
    assert verdict({**healthy, "loss": 0.001, "feature_std": 0.01}, None)  # all the same: a splendid loss
    assert verdict({**healthy, "loss": 0.001, "rankme": 1.05}, None)
    assert not verdict({**healthy, "loss": 0.001}, math.log(4096))
    assert not verdict({**healthy, "loss": 8.3178}, None)


def test_mistake_20_a_collapse_is_read_from_the_loss_alone() -> None:
    def ours(figures: dict[str, float], uniform: float | None) -> object:
        return monitor.collapse(figures, uniform, plateau=9 if monitor.is_uniform(figures["loss"], uniform) else 0)

    check_collapses_are_told(ours)
    fails(check_collapses_are_told, lambda figures, uniform: figures["loss"] < 0.01)
    fails(check_collapses_are_told, lambda figures, uniform: figures["feature_std"] < 0.1)
    assert make("dino").uniform_loss == pytest.approx(math.log(12))
    assert make("jigsaw").uniform_loss == pytest.approx(math.log(6))
    for name in set(METHODS) - {"dino", "jigsaw"}:
        assert make(name).uniform_loss is None


def test_twins_are_of_the_methods_that_they_claim() -> None:
    expected = {"byol": BYOL, "dino": DINO, "lejepa": LeJEPA, "moco-v2": MoCo, "moco-v3": MoCoV3, "simclr": SimCLR}
    assert {name: METHODS[name].method for name in expected} == expected

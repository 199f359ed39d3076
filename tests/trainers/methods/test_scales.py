"""The scale of each method's loss, for which its learning rate is chosen, and what simclr and lejepa do with all views."""

import math

import pytest
import torch
import torch.nn.functional as F

from tests.trainers.small import AT, batch, make
from trainers.losses import info_nce_batch, negative_cosine, sigreg
from trainers.methods.moco import MoCo


def collapsed_sigreg(n: int) -> float:
    return sigreg(torch.zeros(n, 1), torch.ones(1, 1)).item()


ANSWERS = {  # the modules whose outputs the loss compares; those of dino and lejepa are all zeros anyway
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
                p.fill_(0.0 if key.endswith("weight") else 1.0)  # the output is the last shift, or zero
        if isinstance(method, MoCo):
            method.keys.copy_(F.normalize(torch.ones_like(method.keys), dim=1))
        for end in ANSWERS[name]:
            getattr(method, end).register_forward_hook(lambda module, inputs, output: torch.ones_like(output))
        if name == "lejepa":
            method.projection.register_forward_hook(lambda module, inputs, output: torch.zeros_like(output))
        losses[name] = method.loss(batch(method), AT).loss.item()
    return losses


def test_the_loss_of_equal_vectors_has_the_scale_that_docs_recipes_states() -> None:
    """For 8 images."""
    assert at_equal_vectors() == pytest.approx({
        "simclr": math.log(15),  # mean over 2N views; the authors' code: twice that
        "moco-v2": math.log(1 + 32),  # mean of both directions
        "moco-v3": 2 * (2 * 0.2) * math.log(8),  # sum of both directions, each times 2T
        "dino": math.log(12),  # mean over pairs of views
        "byol": 0.0,  # opposite vectors: 8, the sum of both directions of 2 - 2 cos
        "lejepa": 0.05 * collapsed_sigreg(8),  # weight x SIGReg + (1 - weight) x agreement
    }, rel=1e-3, abs=1e-4)  # fmt: skip
    p = torch.randn(5, 4)
    assert negative_cosine(p, -p).item() == pytest.approx(4.0)
    assert info_nce_batch(p, p, 1e3).item() == pytest.approx(2e3 * math.log(5), rel=1e-3)


def test_simclr_normalises_both_views_as_one_batch() -> None:
    method = make("simclr")
    tracked = next(b for name, b in method.backbone.named_buffers() if name.endswith("num_batches_tracked"))
    method.loss(batch(method), AT)
    assert tracked.item() == 1


def test_every_view_counts_in_both_terms_of_lejepa() -> None:
    method = make("lejepa", local_crops=2, local_size=1.0)
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

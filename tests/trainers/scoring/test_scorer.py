"""The loss of single images by every method: the same alone and among others, the same again, another with another seed."""

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.trainers.small import AT, apart, batch, make
from trainers.augmentations import augment_alike
from trainers.methods import METHODS, Bank
from trainers.runtime.seeds import mix
from trainers.scoring.scorer import END, Scorer

CPU = torch.device("cpu")
PIXELS = torch.randint(256, (12, 3, 16, 16), generator=torch.Generator().manual_seed(7), dtype=torch.uint8)
BANK = PIXELS[4:10]
PLACES = torch.tensor([-1] * 4 + list(range(6)) + [-1] * 2)  # of the images in the bank


def method_of(name: str) -> Any:
    method = apart(make(name))
    method.loss(batch(method), AT)  # its norms have seen something
    return method


def scorer_of(name: str, seed: int = 0, draws: int = 2) -> Scorer:
    method = method_of(name)
    return Scorer(method, BANK if method.has_negatives else None, CPU, draws, seed)


def close(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", sorted(METHODS))
def test_the_loss_of_an_image_depends_on_nothing_but_image_and_seed(name: str) -> None:
    scorer = scorer_of(name)
    together = scorer.losses(PIXELS, PLACES)
    assert (together.dtype, together.shape) == (torch.float32, (12,))
    assert torch.isfinite(together).all()
    assert len(set(together.tolist())) == 12
    for size in (1, 5):
        parts = zip(torch.split(PIXELS, size), torch.split(PLACES, size), strict=True)
        close(torch.cat([scorer.losses(*part) for part in parts]), together)
    order = torch.randperm(12)
    close(scorer.losses(PIXELS[order], PLACES[order]), together[order])
    assert torch.equal(scorer_of(name).losses(PIXELS, PLACES), together)
    assert not torch.allclose(scorer_of(name, seed=1).losses(PIXELS, PLACES), together)


@pytest.mark.parametrize("name", ["byol", "simclr"])
def test_it_is_the_mean_over_the_draws_of_views(name: str) -> None:
    method = method_of(name).eval()
    found = []
    for draw in range(2):
        rng = torch.Generator().manual_seed(mix(0, draw))
        both = [augment_alike(PIXELS, spec, rng) for spec in method.views]
        bank = None
        if method.has_negatives:
            vectors = method.bank_vectors([view[4:10] for view in both])  # of the same views
            bank = Bank(vectors, PLACES[:, None] == torch.arange(6))
        found.append(method.image_losses(both, END._replace(seed=mix(0, draw)), bank))
    close(scorer_of(name).losses(PIXELS, PLACES), torch.stack(found).mean(dim=0).detach())


def test_an_image_of_the_bank_is_no_negative_of_itself() -> None:
    scorer = scorer_of("simclr")
    own, as_a_stranger = (scorer.losses(BANK, places) for places in (torch.arange(6), torch.full((6,), -1)))
    assert (own < as_a_stranger).all()


def test_scoring_changes_no_weight_and_no_statistic() -> None:
    method = method_of("byol")
    before = {key: value.clone() for key, value in method.state_dict().items()}
    Scorer(method, None, CPU, 2, 0).losses(PIXELS, PLACES)
    assert all(torch.equal(before[key], value) for key, value in method.state_dict().items())

"""The loss of each image by itself, for every entry of METHODS: alone or among others, and beside the loss of a batch."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.trainers.small import AT, apart, batch, close, make
from trainers.losses import info_nce_queue
from trainers.methods import METHODS, Bank, Method, ibot

WITH_NEGATIVES = ["moco-v1", "moco-v2", "moco-v3", "simclr", "simclr-v2"]


@pytest.fixture(params=sorted(METHODS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def ready(name: str) -> Any:
    """A method in evaluation mode, whose norms have seen some images and whose student and teacher differ."""
    method = apart(make(name))
    for seed in range(3):
        method.loss(batch(method, seed=seed), AT)
    return method.eval()


def bank_of(method: Method, count: int, others: int = 6) -> Bank | None:
    """A bank of `others` images, none of them among `count` images."""
    if not method.has_negatives:
        return None
    return Bank(method.bank_vectors(batch(method, others, seed=9)), torch.zeros(count, others, dtype=torch.bool))


@torch.no_grad()
def losses(method: Method, views: list[Tensor]) -> Tensor:
    return method.image_losses(views, AT, bank_of(method, len(views[0])))


def test_the_loss_of_an_image_does_not_depend_on_the_others_of_its_batch(name: str) -> None:
    method = ready(name)
    views = batch(method)
    together = losses(method, views)
    assert together.shape == (8,)
    assert torch.isfinite(together).all()
    assert len(set(together.tolist())) == 8
    alone = [losses(method, [view[n : n + 1] for view in views]) for n in range(8)]
    close(together, torch.cat(alone))
    close(together.flip(0), losses(method, [view.flip(0) for view in views]))


def test_computing_losses_changes_nothing_and_gives_the_same_again(name: str) -> None:
    method = ready(name)
    before = {key: value.clone() for key, value in method.state_dict().items()}
    views = batch(method)
    assert torch.equal(losses(method, views), losses(method, views))
    assert all(torch.equal(before[key], value) for key, value in method.state_dict().items())


def test_methods_with_negatives_say_so(name: str) -> None:
    method = make(name)
    assert method.has_negatives == (name in WITH_NEGATIVES)
    if not method.has_negatives:
        with pytest.raises(NotImplementedError):
            method.bank_vectors(batch(method))


# -- beside the loss of a batch


@torch.no_grad()
@pytest.mark.parametrize("name", ["byol", "dino", "jigsaw", "mae"])
def test_without_negatives_it_is_the_loss_of_a_batch_of_one(name: str) -> None:
    """And where nothing but the views is drawn, the mean is the loss of the batch."""
    method = ready(name)
    views = batch(method)
    found = losses(method, views)
    close(found, torch.stack([method.loss([view[n : n + 1] for view in views], AT).loss for n in range(8)]))
    if name in ("byol", "dino"):
        close(found.mean(), method.loss(views, AT).loss)


@torch.no_grad()
def test_the_mean_of_lejepa_is_its_loss_without_the_spread_of_the_batch() -> None:
    method = ready("lejepa")
    views = batch(method)
    step = method.loss(views, AT)
    close(losses(method, views).mean(), step.loss - method.settings.weight * step.logs["sigreg"])


@torch.no_grad()
def test_the_mean_of_ibot_is_its_loss_without_koleo_when_all_hide_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    method = ready("ibot")
    views = batch(method, 4)
    first = torch.tensor([[True, False, True, False], [False, False, False, True]])  # of both whole views
    monkeypatch.setattr(ibot, "count_hidden", lambda images, patches, shares: [3 * 4])
    monkeypatch.setattr(
        ibot, "block_masks", lambda images, *rest: first if images == ibot.MASKS else first.repeat_interleave(4, dim=0)
    )
    step = method.loss(views, AT)
    close(losses(method, views).mean(), step.logs["class_loss"] + step.logs["patch_loss"])


def test_the_patches_that_ibot_hides_are_from_few_to_many_in_half_of_the_views() -> None:
    method = make("ibot", mask_min=0.2, mask_max=1.0)
    (whole, *_) = batch(method)
    counts = [int(n) for seed in range(40) for n in method._masks(whole, ibot.MASKS, seed)[:2].sum(dim=1)]
    assert set(counts) == {0, 1, 2, 3, 4}
    assert 0.3 < counts.count(0) / len(counts) < 0.7


@torch.no_grad()
@pytest.mark.parametrize("name", ["moco-v3", "simclr", "simclr-v2"])
def test_with_the_batch_as_the_bank_the_mean_is_the_loss_of_the_batch(name: str) -> None:
    """An image of the bank is no negative of itself, as in a batch."""
    method = ready(name)
    views = batch(method)
    bank = Bank(method.bank_vectors(views), torch.eye(8, dtype=torch.bool))
    close(method.image_losses(views, AT, bank).mean(), method.loss(views, AT).loss)


@torch.no_grad()
@pytest.mark.parametrize(("name", "views_of_a_key"), [("moco-v1", 1), ("moco-v2", 2)])
def test_with_the_bank_as_the_queue_the_mean_is_the_loss_of_moco(name: str, views_of_a_key: int) -> None:
    method = ready(name)
    views, bank = batch(method), bank_of(method, 8)
    assert bank is not None
    assert bank.vectors.shape == (views_of_a_key, 6, 8)
    method.keys = bank.vectors.flatten(0, 1)
    close(method.image_losses(views, AT, bank).mean(), method.loss(views, AT).loss)


# -- the numbers


def test_info_nce_of_each_image_by_hand() -> None:
    """Cosines of a query with its key and with two others: 1, 0 and -1; the second query has the same image in the queue."""
    queries, keys = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([[3.0, 0.0], [0.0, 5.0]])
    queue = torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
    same = torch.tensor([[False, False], [True, False]])
    found = info_nce_queue(queries, keys, queue, 0.5, same, "none")
    expected = [
        math.log(math.exp(2) + math.exp(0) + math.exp(-2)) - 2,  # all of the queue
        math.log(math.exp(2) + math.exp(0)) - 2,  # only the second key
    ]
    assert found.tolist() == pytest.approx(expected, rel=1e-5)
    assert info_nce_queue(queries, keys, queue, 0.5, same).item() == pytest.approx(sum(expected) / 2, rel=1e-5)


@torch.no_grad()
def test_simclr_compares_both_views_with_both_views_of_the_bank() -> None:
    method = ready("simclr")
    views, bank = batch(method, 3), bank_of(method, 3, 2)
    assert bank is not None
    z1, z2 = (F.normalize(z, dim=1) for z in method._project(views))
    others = F.normalize(torch.cat(method._project(batch(method, 2, seed=9))), dim=1)
    for n, found in enumerate(method.image_losses(views, AT, bank).tolist()):
        terms = []
        for own, other in ((z1[n], z2[n]), (z2[n], z1[n])):
            scores = torch.stack([own @ key for key in (other, *others)]) / method.temperature
            terms.append(float(-scores.log_softmax(dim=0)[0]))
        assert found == pytest.approx(sum(terms) / 2, rel=1e-4)

"""Losses that compare two views, against plain loops and where their value is known; and float32 under autocast for all."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from trainers import losses
from trainers.losses import info_nce_batch, info_nce_queue, negative_cosine, nt_xent
from trainers.models.heads import DINOHead
from trainers.models.queue import new_queue


def agree(ours: Callable[..., Tensor], naive: Callable[..., Tensor], *inputs: Tensor) -> None:
    """Both give the same number and the same gradient with respect to every input, none counting as zero."""
    results = []
    for function in (ours, naive):
        leaves = [x.clone().requires_grad_() for x in inputs]
        value = function(*leaves)
        results.append((value, torch.autograd.grad(value, leaves, allow_unused=True, materialize_grads=True)))
    (value, gradients), (expected, expected_gradients) = results
    torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-5)
    for gradient, other in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(gradient, other, rtol=1e-3, atol=1e-5)


def unit(v: Tensor) -> Tensor:
    return torch.as_tensor(v / v.norm())


def mean(terms: list[Tensor]) -> Tensor:
    return torch.stack(terms).mean()


@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
@pytest.mark.parametrize(("n", "dim"), [(2, 3), (5, 8), (16, 4)])
def test_nt_xent_equals_the_loop(n: int, dim: int, temperature: float) -> None:
    """Equation 1 of SimCLR, pair by pair; the views of image i stand at 2i and 2i + 1 as in the paper's algorithm 1."""

    def naive(z1: Tensor, z2: Tensor) -> Tensor:
        z = [unit(v) for pair in zip(z1, z2, strict=True) for v in pair]
        terms = []
        for i in range(2 * n):
            scores = {k: torch.exp(z[i] @ z[k] / temperature) for k in range(2 * n) if k != i}
            terms.append(-torch.log(scores[i ^ 1] / torch.stack(list(scores.values())).sum()))
        return mean(terms)

    agree(lambda a, b: nt_xent(a, b, temperature), naive, torch.randn(n, dim), torch.randn(n, dim))


@pytest.mark.parametrize("n", [2, 7])
def test_nt_xent_of_equal_vectors_is_the_log_of_the_candidates(n: int) -> None:
    z = torch.ones(n, 4)
    assert nt_xent(z, z, 0.5).item() == pytest.approx(math.log(2 * n - 1), abs=1e-6)


def test_nt_xent_ignores_length_and_is_symmetric() -> None:
    a, b = torch.randn(6, 5), torch.randn(6, 5)
    torch.testing.assert_close(nt_xent(a, b, 0.5), nt_xent(7 * b, 0.1 * a, 0.5))


def test_negative_cosine_on_known_vectors() -> None:
    p = torch.tensor([[2.0, 0.0], [0.0, 3.0], [1.0, 0.0]])
    t = torch.tensor([[5.0, 0.0], [4.0, 0.0], [-1.0, 0.0]])
    assert negative_cosine(p, t).item() == pytest.approx((0 + 2 + 4) / 3)  # same, orthogonal, opposite


def test_negative_cosine_is_the_squared_difference_of_unit_vectors_without_gradient_for_the_target() -> None:
    def naive(p: Tensor, t: Tensor) -> Tensor:
        return mean([(unit(a) - unit(b)).square().sum() for a, b in zip(p, t.detach(), strict=True)])

    agree(negative_cosine, naive, torch.randn(9, 6), torch.randn(9, 6))


@pytest.mark.parametrize("temperature", [0.07, 0.2, 1.0])
@pytest.mark.parametrize(("n", "dim", "rows"), [(1, 3, 1), (2, 2, 7), (6, 5, 4), (9, 16, 20)])
def test_info_nce_with_a_queue_equals_the_loop(n: int, dim: int, rows: int, temperature: float) -> None:
    queue = new_queue(rows, dim)

    def naive(queries: Tensor, keys: Tensor) -> Tensor:
        terms = []
        for q, k in zip(queries, keys.detach(), strict=True):
            own = torch.exp(unit(q) @ unit(k) / temperature)
            others = [torch.exp(unit(q) @ old / temperature) for old in queue]
            terms.append(-torch.log(own / (own + torch.stack(others).sum())))
        return mean(terms)

    agree(lambda q, k: info_nce_queue(q, k, queue, temperature), naive, torch.randn(n, dim), torch.randn(n, dim))


@pytest.mark.parametrize("temperature", [0.07, 0.2, 1.0])
@pytest.mark.parametrize(("n", "dim"), [(1, 3), (2, 2), (7, 4), (12, 16)])
def test_info_nce_of_a_batch_equals_the_loop_times_2t(n: int, dim: int, temperature: float) -> None:
    def naive(queries: Tensor, keys: Tensor) -> Tensor:
        terms = []
        for i, q in enumerate(queries):
            scores = torch.stack([torch.exp(unit(q) @ unit(k.detach()) / temperature) for k in keys])
            terms.append(-torch.log(scores[i] / scores.sum()))
        return 2 * temperature * mean(terms)

    agree(lambda q, k: info_nce_batch(q, k, temperature), naive, torch.randn(n, dim), torch.randn(n, dim))


@pytest.mark.parametrize("temperature", [0.07, 1.0])
@pytest.mark.parametrize("rows", [1, 10])
def test_info_nce_of_equal_vectors_is_the_log_of_the_candidates(rows: int, temperature: float) -> None:
    z = torch.ones(5, 4)
    in_queue = info_nce_queue(z, z, F.normalize(torch.ones(rows, 4), dim=1), temperature)
    assert in_queue.item() == pytest.approx(math.log(1 + rows), abs=1e-5)
    assert info_nce_batch(z, z, temperature).item() == pytest.approx(2 * temperature * math.log(5), abs=1e-5)


def test_info_nce_with_everything_orthogonal_is_known() -> None:
    z = torch.eye(6)[:2]
    expected = math.log(1 + 4 * math.exp(-1 / 0.2))
    assert info_nce_queue(z, z, torch.eye(6)[2:], 0.2).item() == pytest.approx(expected, rel=1e-4)


def units(*shape: int) -> Tensor:
    return F.normalize(torch.randn(*shape), dim=-1)


LOSSES: dict[str, Callable[[], Tensor]] = {
    "nt_xent": lambda: losses.nt_xent(units(8, 16), units(8, 16), 0.07),
    "info_nce_queue": lambda: losses.info_nce_queue(units(8, 16), units(8, 16), units(32, 16), 0.07),
    "info_nce_batch": lambda: losses.info_nce_batch(units(8, 16), units(8, 16), 0.07),
    "negative_cosine": lambda: losses.negative_cosine(units(8, 16), units(8, 16)),
    "self_distillation": lambda: losses.self_distillation(units(4, 8, 16), units(2, 8, 16), torch.zeros(16), 0.1, 0.04),
    "perplexity": lambda: losses.perplexity(units(8, 16) / 0.04),
    "masked_mse": lambda: losses.masked_mse(units(2, 4, 12), units(2, 4, 12), torch.ones(2, 4, dtype=torch.bool)),
    "sigreg": lambda: losses.sigreg(10 * torch.randn(8, 16), units(16, 16).T),
    "spread_from_centre": lambda: losses.spread_from_centre(1000 + units(4, 8, 16), 2),
    "a head of dino": lambda: DINOHead(16, 16, 16, 32).compare(units(8, 16)).square().mean(),
}


@pytest.mark.parametrize("name", LOSSES)
def test_arithmetic_is_float32_under_autocast(name: str) -> None:
    """bfloat16 has three digits: at a temperature of 0.04 that is an error of a tenth in a logit."""
    torch.manual_seed(3)
    exact = LOSSES[name]()
    torch.manual_seed(3)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = LOSSES[name]()
    assert rounded.dtype == torch.float32
    assert torch.equal(rounded, exact)

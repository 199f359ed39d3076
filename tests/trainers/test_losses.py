import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from trainers import losses
from trainers.losses import negative_cosine, nt_xent
from trainers.models.heads import DINOHead


def naive_nt_xent(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    """Equation 1 of SimCLR, pair by pair; the views of image i stand at 2i and 2i + 1 as in the paper's algorithm 1."""
    z = [v / v.norm() for pair in zip(z1, z2, strict=True) for v in pair]
    total = torch.zeros(())
    for i in range(len(z)):
        j = i + 1 if i % 2 == 0 else i - 1
        below = torch.zeros(())
        for k in range(len(z)):
            if k != i:
                below = below + torch.exp(z[i] @ z[k] / temperature)
        total = total - torch.log(torch.exp(z[i] @ z[j] / temperature) / below)
    return total / len(z)


@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
@pytest.mark.parametrize(("n", "dim"), [(2, 3), (5, 8), (16, 4)])
def test_nt_xent_equals_the_naive_loop_in_value_and_gradient(n: int, dim: int, temperature: float) -> None:
    a, b = (torch.randn(n, dim, requires_grad=True) for _ in range(2))
    c, d = (x.detach().clone().requires_grad_() for x in (a, b))
    ours, naive = nt_xent(a, b, temperature), naive_nt_xent(c, d, temperature)
    torch.testing.assert_close(ours, naive, rtol=1e-5, atol=1e-5)
    ours.backward()  # type: ignore[no-untyped-call]
    naive.backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(a.grad, c.grad, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(b.grad, d.grad, rtol=1e-4, atol=1e-5)


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


def test_negative_cosine_is_the_squared_difference_of_unit_vectors() -> None:
    p, t = torch.randn(9, 6), torch.randn(9, 6)
    naive = sum(float(((a / a.norm() - b / b.norm()) ** 2).sum()) for a, b in zip(p, t, strict=True)) / len(p)
    assert negative_cosine(p, t).item() == pytest.approx(naive, rel=1e-5)


def test_negative_cosine_sends_no_gradient_into_the_target() -> None:
    p, t = torch.randn(4, 3, requires_grad=True), torch.randn(4, 3, requires_grad=True)
    negative_cosine(p, t).backward()  # type: ignore[no-untyped-call]
    assert p.grad is not None
    assert t.grad is None


def unit(*shape: int) -> Tensor:
    return F.normalize(torch.randn(*shape), dim=-1)


LOSSES: dict[str, Callable[[], Tensor]] = {
    "nt_xent": lambda: losses.nt_xent(unit(8, 16), unit(8, 16), 0.07),
    "info_nce_queue": lambda: losses.info_nce_queue(unit(8, 16), unit(8, 16), unit(32, 16), 0.07),
    "info_nce_batch": lambda: losses.info_nce_batch(unit(8, 16), unit(8, 16), 0.07),
    "negative_cosine": lambda: losses.negative_cosine(unit(8, 16), unit(8, 16)),
    "self_distillation": lambda: losses.self_distillation(unit(4, 8, 16), unit(2, 8, 16), torch.zeros(16), 0.1, 0.04),
    "perplexity": lambda: losses.perplexity(unit(8, 16) / 0.04),
    "masked_mse": lambda: losses.masked_mse(unit(2, 4, 12), unit(2, 4, 12), torch.ones(2, 4, dtype=torch.bool)),
    "sigreg": lambda: losses.sigreg(10 * torch.randn(8, 16), unit(16, 16).T),
    "spread_from_centre": lambda: losses.spread_from_centre(1000 + unit(4, 8, 16), 2),
    "a head of dino": lambda: DINOHead(16, 16, 16, 32).compare(unit(8, 16)).square().mean(),
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

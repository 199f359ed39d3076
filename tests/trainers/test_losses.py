"""Losses against plain loops, and in float32 under autocast. What they give for equal vectors is in methods/test_scales.py."""

import itertools
import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from trainers import losses
from trainers.losses import (
    info_nce_batch,
    info_nce_queue,
    koleo,
    masked_distillation,
    masked_mse,
    negative_cosine,
    nt_xent,
    self_distillation,
    sigreg,
    spread_from_centre,
)
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


@pytest.mark.parametrize(("student_t", "teacher_t"), [(0.1, 0.04), (0.1, 0.07), (1.0, 1.0)])
@pytest.mark.parametrize(("views", "teachers", "n", "prototypes"), [(2, 2, 3, 4), (2, 2, 1, 9), (5, 2, 4, 6)])
def test_self_distillation_equals_the_loop(
    views: int, teachers: int, n: int, prototypes: int, student_t: float, teacher_t: float
) -> None:
    centre = torch.randn(prototypes) / 5

    def softmax(x: Tensor) -> Tensor:
        raised = torch.exp(x - x.max())
        return raised / raised.sum()

    def naive(student: Tensor, teacher: Tensor) -> Tensor:
        terms = []
        for image in range(n):
            for g in range(teachers):
                target = softmax((teacher[g, image].detach() - centre) / teacher_t)
                for v in range(views):
                    if v != g:
                        terms.append(-(target * softmax(student[v, image] / student_t).log()).sum())
        return mean(terms)

    student, teacher = (torch.randn(v, n, prototypes) / 3 for v in (views, teachers))
    agree(lambda s, t: self_distillation(s, t, centre, student_t, teacher_t), naive, student, teacher)


@pytest.mark.parametrize(("student_t", "teacher_t"), [(0.1, 0.04), (1.0, 1.0)])
@pytest.mark.parametrize(("images", "length", "prototypes"), [(1, 2, 5), (4, 3, 4), (3, 9, 2)])
def test_masked_distillation_equals_the_loop_over_images_and_patches(
    images: int, length: int, prototypes: int, student_t: float, teacher_t: float
) -> None:
    """The mean over an image's hidden patches, then over all images, of which one without hidden patches counts zero."""
    hidden = torch.rand(images, length) < 0.5
    hidden[0, 0], hidden[1:2] = True, False
    centre = torch.randn(prototypes) / 5

    def softmax(x: Tensor) -> Tensor:
        raised = torch.exp(x - x.max())
        return raised / raised.sum()

    def naive(student: Tensor, teacher: Tensor) -> Tensor:
        total = torch.zeros(())
        for i in range(images):
            patches = [j for j in range(length) if hidden[i, j]]
            for j in patches:
                target = softmax((teacher[i, j].detach() - centre) / teacher_t)
                total = total - (target * softmax(student[i, j] / student_t).log()).sum() / len(patches) / images
        return total

    def ours(student: Tensor, teacher: Tensor) -> Tensor:
        weights = torch.tensor([1 / (hidden[i].sum() * images) for i, j in hidden.nonzero()])
        return masked_distillation(student[hidden], teacher[hidden], centre, weights, student_t, teacher_t)

    agree(ours, naive, *(torch.randn(images, length, prototypes) / 3 for _ in range(2)))


@pytest.mark.parametrize(("n", "dim"), [(2, 3), (5, 2), (9, 16)])
def test_koleo_equals_the_loop_over_pairs(n: int, dim: int) -> None:
    def naive(z: Tensor) -> Tensor:
        u = [unit(row) for row in z]
        nearest = [torch.stack([(u[i] - u[j]).norm() for j in range(n) if j != i]).min() for i in range(n)]
        return -mean([torch.log(distance) for distance in nearest])

    agree(koleo, naive, 3 * torch.randn(n, dim))


def test_koleo_is_low_for_spread_vectors_and_finite_for_equal_ones() -> None:
    corners = torch.cat([torch.eye(4), -torch.eye(4)])  # the nearest others are at a right angle
    assert koleo(corners).item() == pytest.approx(-math.log(2) / 2, rel=1e-4)
    z = torch.ones(5, 4, requires_grad=True)
    value = koleo(z)
    [gradient] = torch.autograd.grad(value, z)
    assert value.item() == pytest.approx(-math.log(1e-8), rel=1e-4)
    assert torch.isfinite(gradient).all()
    near = 1 + 1e-6 * torch.tensor([[0.0, 0.0], [0.0, 1.0]]).double()  # finer than float32 tells cosines apart
    assert koleo(near.float()).item() == pytest.approx(-math.log(5e-7), rel=0.05)


@pytest.mark.parametrize(("n", "length", "pixels"), [(1, 2, 3), (3, 4, 12), (2, 9, 5)])
def test_masked_mse_equals_the_loop(n: int, length: int, pixels: int) -> None:
    masked = torch.rand(n, length) < 0.5
    masked[0, 0] = True
    patches = torch.randn(n, length, pixels) * 3 + 2

    def naive(prediction: Tensor) -> Tensor:
        terms = []
        for i, j in itertools.product(range(n), range(length)):
            if masked[i, j]:
                patch = patches[i, j]
                middle = sum(patch) / pixels
                variance = sum((v - middle) ** 2 for v in patch) / (pixels - 1)
                for predicted, pixel in zip(prediction[i, j], patch, strict=True):
                    terms.append((predicted - (pixel - middle) / (variance + 1e-6) ** 0.5) ** 2)
        return mean(terms)

    agree(lambda p: masked_mse(p, patches, masked), naive, torch.randn(n, length, pixels))


@pytest.mark.parametrize(("n", "dim", "slices"), [(2, 1, 1), (5, 3, 4), (16, 8, 6)])
def test_sigreg_equals_the_loop_over_slices_and_knots(n: int, dim: int, slices: int) -> None:
    directions = F.normalize(torch.randn(dim, slices), dim=0)
    knots = [3 * i / 16 for i in range(-16, 17)]  # both sides of zero

    def naive(z: Tensor) -> Tensor:
        statistics = []
        for direction in directions.T:
            heights = []
            for t in knots:
                real = mean([torch.cos(t * (row @ direction)) for row in z])
                imaginary = mean([torch.sin(t * (row @ direction)) for row in z])
                gaussian = math.exp(-(t**2) / 2)
                heights.append(((real - gaussian) ** 2 + imaginary**2) * gaussian)
            area = torch.stack([(a + b) / 2 * 3 / 16 for a, b in itertools.pairwise(heights)]).sum()
            statistics.append(n * area)
        return mean(statistics)

    agree(lambda z: sigreg(z, directions), naive, torch.randn(n, dim))


def test_sigreg_is_large_for_whatever_is_not_a_standard_gaussian() -> None:
    n, axes = 1000, torch.eye(4)
    healthy = sigreg(torch.randn(n, 4), axes)
    wrong = {
        "a point": torch.zeros(n, 4),
        "uniform": (2 * torch.rand(n, 4) - 1) * math.sqrt(3),  # of mean 0 and variance 1 as well
        "too narrow": 0.5 * torch.randn(n, 4),
        "too wide": 2 * torch.randn(n, 4),
        "shifted": torch.randn(n, 4) + 1,
        "two heaps": torch.randn(n, 4).sign() + 0.1 * torch.randn(n, 4),
    }
    for name, z in wrong.items():
        assert sigreg(z, axes) > 5 * healthy, name


@pytest.mark.parametrize(("views", "centre_views", "n", "dim"), [(2, 2, 3, 4), (5, 2, 1, 3), (6, 2, 4, 5)])
def test_spread_from_centre_equals_the_loop(views: int, centre_views: int, n: int, dim: int) -> None:
    def naive(z: Tensor) -> Tensor:
        terms = []
        for image in range(n):
            for axis in range(dim):
                centre = sum(z[g, image, axis] for g in range(centre_views)) / centre_views
                terms += [(z[v, image, axis] - centre) ** 2 for v in range(views)]
        return mean(terms)

    agree(lambda z: spread_from_centre(z, centre_views), naive, torch.randn(views, n, dim))


def units(*shape: int) -> Tensor:
    return F.normalize(torch.randn(*shape), dim=-1)


LOSSES: dict[str, Callable[[], Tensor]] = {
    "nt_xent": lambda: losses.nt_xent(units(8, 16), units(8, 16), 0.07),
    "info_nce_queue": lambda: losses.info_nce_queue(units(8, 16), units(8, 16), units(32, 16), 0.07),
    "info_nce_batch": lambda: losses.info_nce_batch(units(8, 16), units(8, 16), 0.07),
    "negative_cosine": lambda: losses.negative_cosine(units(8, 16), units(8, 16)),
    "self_distillation": lambda: losses.self_distillation(units(4, 8, 16), units(2, 8, 16), torch.zeros(16), 0.1, 0.04),
    "masked_distillation": lambda: losses.masked_distillation(
        units(8, 16), units(8, 16), torch.zeros(16), torch.full((8,), 0.125), 0.1, 0.04
    ),
    "koleo": lambda: losses.koleo(units(8, 16)),
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

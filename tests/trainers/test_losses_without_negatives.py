"""Losses of dino, mae and lejepa, against plain loops and where their value is known."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.trainers.test_losses import agree, mean
from trainers.losses import masked_mse, self_distillation, sigreg, spread_from_centre


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


def test_self_distillation_of_equal_logits_is_the_log_of_the_prototypes() -> None:
    flat = torch.zeros(4, 3, 50)
    assert self_distillation(flat, flat[:2], torch.zeros(50), 0.1, 0.04).item() == pytest.approx(math.log(50))
    sharp = 100 * torch.eye(50)[:3].expand(4, 3, 50)
    assert self_distillation(sharp, sharp[:2], torch.zeros(50), 0.1, 0.04).item() == pytest.approx(0, abs=1e-6)


def test_self_distillation_never_compares_a_view_with_itself() -> None:
    student, teacher = torch.randn(2, 4, 6), torch.randn(2, 4, 6)
    student[1] = student[0]  # now pair (g, v) depends on g alone
    changed = student.clone().requires_grad_()
    only_first = self_distillation(changed, torch.stack([teacher[0], teacher[0]]), torch.zeros(6), 0.1, 0.04)
    assert torch.autograd.grad(only_first, changed)[0].flatten(1).norm(dim=1).min() > 0
    alone = self_distillation(changed, teacher[:1], torch.zeros(6), 0.1, 0.04)  # teacher view 0 teaches view 1 only
    gradient = torch.autograd.grad(alone, changed)[0]
    assert not gradient[0].any()
    assert gradient[1].any()


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


def test_masked_mse_looks_at_masked_patches_only_and_ignores_their_brightness() -> None:
    patches, masked = torch.randn(2, 4, 12), torch.tensor([[True, False, True, False]] * 2)
    prediction = torch.randn(2, 4, 12)
    there = masked_mse(prediction, patches, masked)
    elsewhere = torch.where(masked[:, :, None], prediction, 100.0)
    torch.testing.assert_close(masked_mse(elsewhere, patches, masked), there)
    torch.testing.assert_close(masked_mse(prediction, 0.3 * patches + 7, masked), there, rtol=1e-3, atol=1e-5)


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


def directions_of(dim: int, slices: int) -> Tensor:
    return F.normalize(torch.randn(dim, slices), dim=0)


@pytest.mark.parametrize("n", [64, 1000])
def test_sigreg_of_gaussian_data_is_its_expectation_whatever_the_number_of_rows(n: int) -> None:
    """The squared gap of the characteristic function of n draws is (1 - phi^2) / n in expectation."""
    expected = math.sqrt(2 * math.pi) - math.sqrt(
        2 * math.pi / 3
    )  # the integral of phi (1 - phi^2), to within the cut at 3
    found = torch.stack([sigreg(torch.randn(n, 64), directions_of(64, 64)) for _ in range(20)]).mean()
    assert found.item() == pytest.approx(expected, rel=0.06)


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


def test_descent_on_sigreg_brings_a_shifted_narrow_cloud_to_the_standard_one() -> None:
    z = (0.3 * torch.randn(256, 4) + 1.5).requires_grad_()
    first = torch.autograd.grad(sigreg(z, directions_of(4, 32)), z)[0]
    assert (first.sum(dim=0) > 0).all()  # downhill is towards zero
    optimizer = torch.optim.SGD([z], lr=4.0)
    for _ in range(200):
        z.grad = torch.autograd.grad(sigreg(z, directions_of(4, 32)) / 256, z)[0] * 256 / 16
        optimizer.step()
    assert z.mean(dim=0).abs().max() < 0.2
    torch.testing.assert_close(z.std(dim=0), torch.ones(4), atol=0.2, rtol=0)


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


def test_spread_of_equal_views_is_nothing() -> None:
    assert spread_from_centre(torch.randn(1, 6, 4).expand(5, 6, 4), 2).item() == pytest.approx(0, abs=1e-12)

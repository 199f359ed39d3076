"""Losses against plain loops, in value and gradient, and the parts of methods against what their papers say of them."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from timm.layers.drop import DropPath
from torch import Tensor, nn

from featurestore.errors import ConfigError
from trainers import recipes
from trainers.backbones import make_backbone, patch_tokens
from trainers.building import build
from trainers.config import resolve
from trainers.ema import make_teacher
from trainers.heads import DINOHead
from trainers.losses import (
    info_nce_batch,
    info_nce_queue,
    masked_mse,
    self_distillation,
    sigreg,
    spread_from_centre,
)
from trainers.methods import METHODS, Progress
from trainers.methods.jigsaw import Jigsaw, JigsawSettings, distant_orders
from trainers.methods.mae import MAE, MAESettings
from trainers.methods.moco import MoCo
from trainers.optim import OptimizerConfig, clip_each, make_optimizer
from trainers.queue import enqueue, new_queue
from trainers.views import AugmentConfig

AT = Progress(step=3, epoch=1, fraction=0.25, seed=5)


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


# --- InfoNCE ---


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


# --- DINO ---


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


# --- MAE ---


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


# --- LeJEPA ---


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


def test_sigreg_is_large_for_whatever_is_no_standard_gaussian() -> None:
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


# --- the queue ---


@pytest.mark.parametrize(
    ("rows", "sizes"),
    [(8, [3, 3, 3, 3]), (8, [8, 8]), (8, [20, 5]), (5, [1] * 7), (6, [4, 6, 4, 13]), (1, [1, 3]), (7, [0, 2])],
)
def test_the_queue_is_a_ring_at_any_batch_size(rows: int, sizes: list[int]) -> None:
    queue, pointer = new_queue(rows, 3), torch.zeros((), dtype=torch.long)
    ring, place = list(queue.clone()), 0
    for size in sizes:
        keys = torch.randn(size, 3) * 5
        enqueue(queue, pointer, keys)
        for key in keys:
            ring[place] = unit(key)
            place = (place + 1) % rows
        torch.testing.assert_close(queue, torch.stack(ring))
        assert pointer.item() == place


def test_queue_and_pointer_are_saved() -> None:
    method = build(resolve({"method": "moco-v2", "backbone": "conv4", "image_size": 16, "moco-v2": {"queue": 10}}))
    assert isinstance(method, MoCo)
    enqueue(method.keys, method.pointer, torch.randn(3, 128))
    state = method.state_dict()
    assert state["pointer"].item() == 3
    assert torch.equal(state["keys"], method.keys)


def test_a_new_queue_has_rows_of_unit_length_that_differ() -> None:
    queue = new_queue(50, 16)
    torch.testing.assert_close(queue.norm(dim=1), torch.ones(50))
    assert (queue @ queue.T - torch.eye(50)).max() < 0.95


# --- Jigsaw ---


@pytest.mark.parametrize(("pieces", "count"), [(4, 24), (4, 6), (4, 99), (9, 60)])
def test_orders_are_distinct_permutations_and_always_the_same(pieces: int, count: int) -> None:
    orders = distant_orders(pieces, count)
    rows = {tuple(row) for row in orders.tolist()}
    assert len(rows) == len(orders) == min(count, math.factorial(pieces))
    assert all(sorted(row) == list(range(pieces)) for row in rows)
    assert torch.equal(orders, distant_orders(pieces, count))


def test_each_order_is_as_far_from_those_before_as_any_could_be() -> None:
    """Algorithm 1 of the paper, checked by search over all permutations."""
    orders = [tuple(row) for row in distant_orders(4, 12).tolist()]

    def distance(a: tuple[int, ...], b: tuple[int, ...]) -> int:
        return sum(x != y for x, y in zip(a, b, strict=True))

    for i in range(1, len(orders)):
        reach = {p: min(distance(p, q) for q in orders[:i]) for p in itertools.permutations(range(4))}
        assert reach[orders[i]] == max(reach.values())


def test_orders_of_nine_pieces_differ_more_than_random_ones() -> None:
    def nearest(orders: Tensor) -> int:
        gaps = (orders[:, None] != orders[None]).sum(dim=2)
        return int((gaps + 99 * torch.eye(len(orders), dtype=torch.long)).min())

    chosen = nearest(distant_orders(9, 40))
    assert chosen >= 7
    assert chosen > nearest(torch.stack([torch.randperm(9) for _ in range(40)]))


def jigsaw(grid: int = 2, size: int = 16) -> Jigsaw:
    class Tiny(nn.Module):
        num_features = 6

        def forward(self, x: Tensor) -> Tensor:
            return x.mean(dim=(2, 3)).repeat(1, 2)

    settings = JigsawSettings(grid=grid, orders=6, piece=0.5, hidden=8)
    return Jigsaw(Tiny(), settings, Jigsaw.make_views(AugmentConfig(), size, settings))


@pytest.mark.parametrize(("grid", "size"), [(2, 16), (2, 33), (3, 48)])
def test_pieces_leave_a_gap_and_lie_anywhere_in_their_own_cell(grid: int, size: int) -> None:
    method = jigsaw(grid, size)
    side = method.views[0].size
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    x = torch.stack([rows, columns, rows]).float().expand(2, 3, side, side)  # every pixel says where it lies
    assert method.piece < method.cell
    assert method.piece == pytest.approx(0.75 * method.cell, abs=0.5)
    starts = set()
    for seed in range(8):
        pieces = method._cut(x, torch.Generator().manual_seed(seed))
        assert len(pieces) == grid**2
        for number, piece in enumerate(pieces):
            assert piece.shape == (2, 3, method.piece, method.piece)
            top, left = int(piece[0, 0, 0, 0]), int(piece[0, 1, 0, 0])
            assert int(piece[0, 0, -1, 0]) - top == int(piece[0, 1, 0, -1]) - left == method.piece - 1
            row, column = divmod(number, grid)
            assert row * method.cell <= top <= (row + 1) * method.cell - method.piece
            assert column * method.cell <= left <= (column + 1) * method.cell - method.piece
            starts.add((number, top, left))
    assert len(starts) > 2 * grid**2


def test_pieces_are_normalised_one_by_one_and_laid_in_the_order_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    method = jigsaw().eval()
    x = torch.rand(10, 3, method.views[0].size, method.views[0].size) * 5 + 2
    x = x * torch.linspace(1, 4, x.shape[3])  # brighter to the right: unnormalised, this betrays the place
    cut: list[Tensor] = []
    genuine = method._cut

    def spy(*arguments: Any) -> list[Tensor]:
        cut.extend(genuine(*arguments))
        return cut

    seen: list[Tensor] = []
    monkeypatch.setattr(method, "_cut", spy)
    method.backbone.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    orders: list[tuple[int, ...]] = []

    class Oracle(nn.Module):
        """Knows the pieces, and so the order."""

        def forward(self, code: Tensor) -> Tensor:
            laid = seen[0].view(10, 4, 3, method.piece, method.piece)
            known = [tuple(row) for row in method.orders.tolist()]
            logits = torch.zeros(10, len(known))
            for i in range(10):
                order = []
                for slot in range(4):
                    alike = [
                        float(torch.corrcoef(torch.stack([laid[i, slot].flatten(), p[i].flatten()]))[0, 1]) for p in cut
                    ]
                    order.append(alike.index(max(alike)))
                orders.append(tuple(order))
                logits[i, known.index(tuple(order))] = 50
            return logits

    method.register_module("classify", Oracle())
    step = method.loss([x], AT)
    assert step.loss.item() == pytest.approx(0, abs=1e-6)
    assert step.logs["order_accuracy"] == 1.0
    assert len(set(orders)) > 1  # images have orders of their own
    torch.testing.assert_close(seen[0].mean(dim=(1, 2, 3)), torch.zeros(40), atol=1e-5, rtol=0)
    torch.testing.assert_close(seen[0].std(dim=(1, 2, 3)), torch.ones(40), atol=1e-4, rtol=0)


def test_the_backbone_must_take_the_pieces_and_not_the_picture_they_are_cut_from() -> None:
    vit = {"backbone": "vit_tiny_patch16_224", "patch_size": 8, "image_size": 32}
    assert isinstance(build(resolve({"method": "jigsaw", **vit})), Jigsaw)  # pieces of 16 px out of 42
    with pytest.raises(ConfigError, match="crops of 8 px"):
        build(resolve({"method": "jigsaw", "backbone": "conv4", "image_size": 16}))


# --- MAE's places ---

VIT_DIM = 192


def mae(mask: float = 0.75) -> MAE:
    backbone, _ = make_backbone("vit_tiny_patch16_224", 16, patch_size=4)
    settings = MAESettings(mask=mask, decoder_dim=VIT_DIM, decoder_depth=1, decoder_heads=2)
    return MAE(backbone, settings, MAE.make_views(AugmentConfig(), 16, settings)).eval()


def test_patches_stand_in_the_order_of_the_tokens() -> None:
    method, x = mae(), torch.randn(2, 3, 16, 16)
    patches = method._patches(x)
    for number in range(16):
        row, column = divmod(number, 4)
        piece = x[:, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
        assert torch.equal(patches[:, number], piece.flatten(1))
    kernel = method.backbone.get_parameter("patch_embed.proj.weight").flatten(1)
    places = method.backbone.get_parameter("pos_embed")[:, 1:]
    expected = patches @ kernel.T + method.backbone.get_parameter("patch_embed.proj.bias") + places
    torch.testing.assert_close(patch_tokens(method.backbone, x), expected, atol=1e-4, rtol=1e-4)


class Exactly(nn.Module):
    """Answers with what it was given, whatever it sees, and remembers what it saw."""

    def __init__(self, answer: Tensor | None = None) -> None:
        super().__init__()
        self.answer, self.seen = answer, torch.empty(0)

    def forward(self, x: Tensor) -> Tensor:
        self.seen = x.detach()
        return x if self.answer is None else self.answer


def laid_out(method: MAE) -> Exactly:
    """Make encoder and decoder pass tokens through, and watch what the decoder gets."""
    decoder = Exactly()
    for owner, part in ((method.backbone, "blocks"), (method.backbone, "norm"), (method, "enter")):
        owner.register_module(part, nn.Identity())
    method.register_module("decoder", decoder)
    with torch.no_grad():
        method.place.zero_()
    return decoder


@pytest.mark.parametrize(("mask", "kept"), [(0.75, 4), (0.5, 8), (0.99, 1)])
def test_seen_patches_come_back_to_their_places_and_the_others_are_blank(mask: float, kept: int) -> None:
    method, x = mae(mask), torch.randn(6, 3, 16, 16)
    decoder = laid_out(method)
    method.loss([x], AT)
    tokens = patch_tokens(method.backbone, x)
    blank = (decoder.seen[:, 1:] == method.hidden_token).all(dim=2)
    assert (~blank).sum(dim=1).tolist() == [kept] * 6
    torch.testing.assert_close(decoder.seen[:, 1:][~blank], tokens[~blank])
    assert len({tuple(row) for row in blank.tolist()}) > 1  # every image has a mask of its own


def test_a_decoder_that_draws_the_true_patches_has_no_loss_and_one_that_mixes_them_up_has() -> None:
    method, x = mae(), torch.randn(6, 3, 16, 16)
    decoder = laid_out(method)
    method.loss([x], AT)
    blank = (decoder.seen[:, 1:] == method.hidden_token).all(dim=2)
    patches = method._patches(x)
    true = (patches - patches.mean(dim=2, keepdim=True)) / (patches.var(dim=2, keepdim=True) + 1e-6).sqrt()

    def loss_of(drawn: Tensor) -> float:
        method.register_module("leave", Exactly(drawn))
        return method.loss([x], AT).loss.item()

    assert loss_of(true) == pytest.approx(0, abs=1e-9)
    assert loss_of(torch.where(blank[:, :, None], true, 7.0)) == pytest.approx(0, abs=1e-9)  # seen ones do not count
    assert loss_of(torch.where(blank[:, :, None], 0.0, true)) == pytest.approx(47 / 48, rel=1e-3)
    assert loss_of(true.roll(1, dims=1)) > 1


# --- DINO's head, clipping, LARS ---


def test_dinos_prototypes_have_unit_length_whatever_their_parameter() -> None:
    head = DINOHead(8, 16, 4, 10)
    x = torch.randn(5, 8)
    logits = head(x)
    bottleneck = head.layers(x)
    expected = torch.stack([torch.stack([unit(b) @ unit(p) for p in head.prototypes]) for b in bottleneck])
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-4)
    with torch.no_grad():
        head.prototypes.mul_(torch.rand(10, 1) * 5 + 0.1)
    torch.testing.assert_close(head(x), logits, atol=1e-5, rtol=1e-4)


def test_frozen_prototypes_get_no_gradient_and_everything_else_does() -> None:
    head = DINOHead(8, 16, 4, 10)
    names = [name for name, _ in head.named_parameters()]
    leaves = list(head.parameters())
    for frozen in (True, False):
        gradients = torch.autograd.grad(
            head(torch.randn(5, 8), frozen=frozen).square().sum(), leaves, allow_unused=True
        )
        without = [name for name, g in zip(names, gradients, strict=True) if g is None]
        assert without == (["prototypes"] if frozen else [])


def test_dinos_head_starts_with_a_spread_of_two_hundredths() -> None:
    for layer in DINOHead(128, 256, 64, 10).layers:
        if isinstance(layer, nn.Linear):
            assert layer.weight.std().item() == pytest.approx(0.02, rel=0.05)
            assert not layer.bias.any()


def test_clipping_shortens_each_long_gradient_by_itself() -> None:
    parameters = [nn.Parameter(torch.zeros(shape)) for shape in ((3, 4), (5,), (2,), (2, 2))]
    gradients = [torch.randn(3, 4) * 10, torch.randn(5) * 0.01, torch.zeros(2)]
    for parameter, gradient in zip(parameters, gradients, strict=False):
        parameter.grad = gradient.clone()
    clip_each(parameters, 3.0)
    long, short, none, missing = (p.grad for p in parameters)
    assert long is not None
    torch.testing.assert_close(long, 3 * unit(gradients[0]), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(short, gradients[1])
    torch.testing.assert_close(none, gradients[2])
    assert missing is None


@pytest.mark.parametrize("decay", [0.1, 0.0])
def test_lars_adapts_and_decays_matrices_and_does_neither_to_biases_and_norms(decay: float) -> None:
    module = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    optimizer = make_optimizer(module, OptimizerConfig(name="lars", lr=0.5, momentum=0.9, weight_decay=decay))
    expected = {}
    for name, p in module.named_parameters():
        p.grad = torch.randn_like(p)
        if p.ndim > 1:
            rate = 0.001 * p.norm() / (p.grad.norm() + decay * p.norm())
            expected[name] = p.detach() - 0.5 * rate * (p.grad + decay * p.detach())
        else:
            expected[name] = p.detach() - 0.5 * p.grad
    optimizer.step()
    for name, p in module.named_parameters():
        torch.testing.assert_close(p.detach(), expected[name], rtol=1e-4, atol=1e-6, msg=name)


# --- MAE's backbone ---


@pytest.mark.parametrize("backbone", ["conv4", "vit_base_patch16_gap_224", "deit_tiny_patch16_224"])
def test_mae_refuses_what_is_no_plain_vit(backbone: str) -> None:
    with pytest.raises(ConfigError, match=r"plain ViT.*vit_tiny"):
        build(resolve({"method": "mae", "backbone": backbone, "image_size": 224}))


def test_mae_refuses_views_of_another_size() -> None:
    vit = {"method": "mae", "backbone": "test_vit", "image_size": 16, "patch_size": 4}
    with pytest.raises(ConfigError, match="leave out view_size"):
        build(resolve(vit, {"view_size": 12}))
    build(resolve(vit, {"view_size": 16}))


# --- drop-path ---


def with_drop_path(name: str) -> Any:
    small: dict[str, Any] = {"jigsaw": {"orders": 6, "piece": 1.0}, "dino": {"local_crops": 2, "local_size": 1.0}}
    return resolve({
        "method": name, "backbone": "vit_tiny_patch16_224", "image_size": 16, "patch_size": 8,
        "drop_path": 0.5, name: small.get(name, {}),
    })  # fmt: skip


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_loss_under_drop_path_is_pure_and_follows_its_seed(name: str) -> None:
    method = build(with_drop_path(name)).train()
    views = [torch.randn(6, 3, spec.size, spec.size) for spec in method.views]
    first, second, other = (method.loss(views, AT._replace(seed=seed)).loss for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_the_student_drops_paths_and_the_teacher_never() -> None:
    student, _ = make_backbone("vit_tiny_patch16_224", 16, patch_size=8, drop_path=0.5)
    teacher = make_teacher(student.train())
    assert max(m.drop_prob or 0.0 for m in student.modules() if isinstance(m, DropPath)) == 0.5
    x = torch.randn(4, 3, 16, 16)
    assert teacher.training
    assert torch.equal(teacher(x), teacher(x))
    assert not torch.equal(student(x), student(x))
    torch.testing.assert_close(teacher(x), student.eval()(x))


# --- recipes ---


def test_recipes_give_the_documented_numbers() -> None:
    """docs/recipes.md."""
    assert [recipes.batch_of(n, 32) for n in (10, 64, 500, 1000, 1024, 10**6)] == [16, 16, 64, 128, 256, 256]
    assert [recipes.batch_of(10**6, size) for size in (64, 65, 128, 224)] == [256, 128, 128, 64]
    assert [recipes.crop_of(size) for size in (8, 16, 24, 32, 224)] == [1.0, 1.0, 0.6667, 0.5, 0.5]
    assert [recipes.epochs_of(n) for n in (50, 1000, 7000, 10_000, 10**6)] == [800, 800, 290, 200, 50]
    assert [recipes.queue_of(n) for n in (10, 1000, 8192, 100_000, 200_000, 10**6)] == [
        16,
        256,
        4096,
        4096,
        65_536,
        65_536,
    ]
    assert [recipes.momentum_of(steps) for steps in (10, 250, 1000, 2500)] == [0.9, 0.9, 0.975, 0.99]
    assert [recipes.prototypes_of(n) for n in (100, 19_999, 20_000, 199_999, 200_000, 999_999, 10**6)] == [
        1024, 1024, 4096, 4096, 16_384, 16_384, 65_536,
    ]  # fmt: skip


def test_recipes_grow_with_the_collection_and_fewer_images_are_seen_more_often() -> None:
    sizes = [int(1.3**i) + 8 for i in range(60)]
    for growing in (lambda n: recipes.batch_of(n, 32), recipes.queue_of, recipes.prototypes_of):
        values = [growing(n) for n in sizes]
        assert values == sorted(values)
        assert all(v & (v - 1) == 0 for v in values)
    epochs = [recipes.epochs_of(n) for n in sizes]
    assert epochs == sorted(epochs, reverse=True)


def test_a_recipe_gives_way_to_each_setting_and_to_no_other() -> None:
    """Giving one setting of the optimiser leaves the recipe's choice of another."""
    recipe = recipes.choose(300_000, "cuda")
    plain = resolve({"method": "dino"}, recipe=recipe)
    assert (plain.batch_size, plain.epochs, plain.optimizer.warmup) == (256, 50, 0.1)
    assert (plain.settings.momentum, plain.settings.prototypes, plain.settings.teacher_temperature) == (
        0.996,
        16_384,
        0.07,
    )
    given = resolve(
        {"method": "dino", "epochs": 400, "optimizer": {"lr": 0.5}, "dino": {"momentum": 0.9}}, recipe=recipe
    )
    assert (given.epochs, given.optimizer.lr, given.optimizer.warmup) == (400, 0.5, 0.025)
    assert (given.settings.momentum, given.settings.prototypes) == (0.9, 16_384)
    moco = resolve({"method": "moco-v2"}, recipe=recipes.choose(1000, "cuda"))
    assert (moco.settings.queue, moco.settings.momentum) == (256, 0.99)
    assert resolve({"recipe": "none"}, recipe=recipe).epochs == 100

"""Twenty mistakes that well-known re-implementations made: ours lack them, and each check fails once the mistake is put in.

A `check_…` is what ours must pass; beside it stands a twin that makes the mistake and must not. What needs two processes of mistakes
5, 7, 13 and 14 is in test_distributed.py.
"""

import copy
import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from lightning.fabric import Fabric
from torch import Tensor, nn

from featurestore.evaluation.knn import KnnResult
from featurestore.progress import Listener
from featurestore.results import KnnReport
from trainers import loop, monitor, views
from trainers.backbones import Conv4, make_backbone
from trainers.config import Config, resolve
from trainers.ema import update_teacher
from trainers.heads import DINOHead
from trainers.losses import (
    info_nce_batch,
    info_nce_queue,
    negative_cosine,
    nt_xent,
    self_distillation,
    sigreg,
    spread_from_centre,
)
from trainers.methods import METHODS, Method, Progress, Step
from trainers.methods.byol import BYOL
from trainers.methods.dino import DINO
from trainers.methods.lejepa import LeJEPA
from trainers.methods.moco import MoCo
from trainers.methods.moco_v3 import MoCoV3
from trainers.methods.simclr import SimCLR
from trainers.optim import clip_each, make_optimizer
from trainers.queue import enqueue

AT = Progress(step=3, epoch=1, fraction=0.25, seed=5)
FIRST_EPOCH = AT._replace(step=0, epoch=0, fraction=0.0)
SMALL: dict[str, dict[str, Any]] = {
    "byol": {"hidden": 16, "dim": 8},
    "dino": {"hidden": 16, "bottleneck": 8, "prototypes": 12, "local_crops": 2, "local_size": 1.0},
    "jigsaw": {"hidden": 8, "orders": 6, "piece": 1.0},
    "lejepa": {"hidden": 16, "dim": 8, "slices": 16},
    "mae": {"decoder_dim": 16, "decoder_depth": 1, "decoder_heads": 2},
    "moco-v1": {"dim": 8, "queue": 32},
    "moco-v2": {"dim": 8, "queue": 32},
    "moco-v3": {"hidden": 16, "dim": 8},
    "simclr": {"hidden": 16, "dim": 8},
    "simclr-v2": {"hidden": 16, "dim": 8},
}
WITH_TEACHER = ("byol", "dino", "moco-v1", "moco-v2", "moco-v3")


def config_of(name: str, **settings: Any) -> Config:
    return resolve(
        {"method": name, "image_size": 16, "precision": "32-true", "device": "cpu", name: SMALL[name]}, settings
    )


def make(name: str, cls: type[Method] | None = None, **own: Any) -> Any:
    """A method by name, or the same with another class, on a small network."""
    torch.manual_seed(0)
    config = config_of(name, **{name: own})
    entry = METHODS[name]
    backbone: nn.Module = Conv4(width=4)
    if name == "mae":
        backbone, _ = make_backbone("vit_tiny_patch16_224", 16, patch_size=8)
    specs = entry.method.make_views(config.augment, 16, config.settings)
    return (cls or entry.method)(backbone, config.settings, specs).train()


def batch(method: Method, count: int = 8) -> list[Tensor]:
    rng = torch.Generator().manual_seed(1)
    return [torch.randn(count, 3, spec.size, spec.size, generator=rng) for spec in method.views]


def fails(check: Callable[..., None], *arguments: Any) -> None:
    """The check notices the mistake."""
    with pytest.raises(AssertionError):
        check(*arguments)


def close(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def apart(method: Any) -> Any:
    """Move the student away from its teacher, and DINO's centre from zero."""
    with torch.no_grad():
        for parameter in method.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
        if isinstance(method, DINO):
            method.centre.normal_(std=0.1)
    return method


# --- 1 ---


def check_exports(name: str, method: Method) -> None:
    """What an optimiser moves is exported; for DINO, what follows it."""
    exported, optimizer = (
        method.export_backbone,
        torch.optim.SGD([p for p in method.parameters() if p.requires_grad], 0.1),
    )
    before = copy.deepcopy(exported.state_dict())
    method.loss(batch(method), AT).loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    moved = any(not torch.equal(p, before[key]) for key, p in exported.named_parameters())
    assert moved == (name != "dino")


def test_mistake_01_the_wrong_one_of_student_and_teacher_is_exported() -> None:
    class ExportsTeacher(BYOL):
        @property
        def export_backbone(self) -> nn.Module:
            return self.teacher.get_submodule("0")

    class ExportsStudent(DINO):
        @property
        def export_backbone(self) -> nn.Module:
            return self.student.backbone

    for name in WITH_TEACHER:
        check_exports(name, make(name))
    fails(check_exports, "byol", make("byol", ExportsTeacher))
    fails(check_exports, "dino", make("dino", ExportsStudent))


# --- 2 ---


def check_freezing(method: DINO) -> None:
    """In the first epoch the student's prototypes stay and the teacher's, which differ here, follow them."""
    apart(method)
    for at, frozen in ((FIRST_EPOCH, True), (AT, False)):
        method.zero_grad()
        step = method.loss(batch(method), at)
        step.loss.backward()  # type: ignore[no-untyped-call]
        assert (method.student.head.prototypes.grad is None) == frozen
        before = method.teacher.head.prototypes.clone()
        method.after_step(step.carry, at)
        assert not torch.equal(method.teacher.head.prototypes, before)


def test_mistake_02_dino_freezes_the_last_layer_of_the_teacher() -> None:
    class Freezes(DINO):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            genuine = self.student.head.forward
            setattr(self.student.head, "forward", lambda x, frozen=False: genuine(x))  # noqa: B010

        def after_step(self, carry: Tensor | None, at: Progress) -> dict[str, float]:
            before = self.teacher.head.prototypes.data.clone()
            logs = super().after_step(carry, at)
            if at.epoch < self.settings.frozen_epochs:
                self.teacher.head.prototypes.data.copy_(before)
            return logs

    check_freezing(make("dino"))
    fails(check_freezing, make("dino", Freezes))


# --- 3 ---


def check_no_layer_is_used_twice(module: nn.Module) -> None:
    places = [id(m) for _, m in module.named_modules(remove_duplicate=False)]
    assert len(places) == len(set(places))


@pytest.mark.parametrize("name", sorted(METHODS))
def test_mistake_03_a_head_uses_one_norm_at_two_places(name: str) -> None:
    check_no_layer_is_used_twice(make(name))
    norm = nn.BatchNorm1d(4)
    fails(check_no_layer_is_used_twice, nn.Sequential(nn.Linear(4, 4), norm, nn.Linear(4, 4), norm))


# --- 4 ---


def check_initial_spread(head: DINOHead) -> None:
    for layer in head.layers:
        if isinstance(layer, nn.Linear):
            assert layer.weight.std().item() == pytest.approx(0.02, rel=0.1)


def test_mistake_04_dinos_head_starts_ten_times_too_wide() -> None:
    head = DINOHead(64, 64, 64, 8)
    check_initial_spread(head)
    for layer in head.layers:
        if isinstance(layer, nn.Linear):
            nn.init.trunc_normal_(layer.weight, std=0.2)
    fails(check_initial_spread, head)


# --- 5 ---


def check_order_within_a_step(name: str, cls: type[Method], folder: Path) -> None:
    """All parts first, then the optimiser, then teacher and centre, once: they follow the student as it is after the step."""
    events: list[str] = []

    class Watched(cls):  # type: ignore[misc, valid-type]
        def loss(self, views: Sequence[Tensor], at: Progress) -> Step:
            before = self.still()
            step: Step = super().loss(views, at)
            events.append("loss" if all(map(torch.equal, before, self.still())) else "loss moves the teacher")
            self.student_then = [p.detach().clone() for p in self.parameters() if p.requires_grad]
            return step

        def after_step(self, carry: Tensor | None, at: Progress) -> dict[str, float]:
            now = [p.detach() for p in self.parameters() if p.requires_grad]
            events.append(
                "after optimiser" if not all(map(torch.equal, now, self.student_then)) else "before optimiser"
            )
            return super().after_step(carry, at)  # type: ignore[no-any-return]

        def still(self) -> list[Tensor]:
            moving = {"centre", "keys", "pointer"}
            frozen = [p.clone() for p in self.parameters() if not p.requires_grad]
            return frozen + [b.clone() for key, b in self.named_buffers() if key in moving]

    config = config_of(name, epochs=1, batch_size=12, accumulate=3, optimizer={"lr": 1.0, "warmup": 0.0})
    pixels = torch.randint(0, 256, (24, 3, 16, 16), dtype=torch.uint8)
    fabric = Fabric(accelerator="cpu", devices=1)
    fabric.launch()
    folder.mkdir()
    loop.fit(fabric, apart(make(name, Watched)), pixels, config, folder, lambda backbone: {}, None, {}, Listener())
    assert events == ["loss", "loss", "loss", "after optimiser"] * 2


def test_mistake_05_teacher_or_centre_move_before_the_step_or_with_every_part(tmp_path: Path) -> None:
    class TeacherMovesWithEveryPart(BYOL):
        def loss(self, views: Sequence[Tensor], at: Progress) -> Step:
            step = super().loss(views, at)
            update_teacher(self.teacher, self.online, 0.9)
            return step

    class CentreMovesWithEveryPart(DINO):
        def loss(self, views: Sequence[Tensor], at: Progress) -> Step:
            step = super().loss(views, at)
            assert step.carry is not None
            self.centre.lerp_(step.carry.mean(dim=0), 0.1)
            return step

    for name in ("byol", "dino", "moco-v2", "moco-v3"):
        check_order_within_a_step(name, METHODS[name].method, tmp_path / name)
    fails(check_order_within_a_step, "byol", TeacherMovesWithEveryPart, tmp_path / "teacher")
    fails(check_order_within_a_step, "dino", CentreMovesWithEveryPart, tmp_path / "centre")


# --- 6 ---


def without_norm(method: Any) -> Any:
    """Take out BatchNorm, so that a query or key does not depend on its group."""
    for module in list(method.modules()):
        for name, child in module.named_children():
            if isinstance(child, (nn.BatchNorm1d, nn.BatchNorm2d)):
                module.register_module(name, nn.Identity())
    return method


def check_no_key_meets_its_own_image(method: MoCo) -> None:
    """Both directions see the queue as it was before the step; all keys, and these once, are in it afterwards."""
    first, second = batch(method)
    old = method.keys.clone()
    step = method.loss([first, second], AT)
    with torch.no_grad():
        expected = torch.stack([
            info_nce_queue(method.online(q), method.teacher(k), old, method.settings.temperature)
            for q, k in ((first, second), (second, first))
        ]).mean()  # fmt: skip
        close(step.loss, expected)
        method.after_step(step.carry, AT._replace(fraction=0.0))
        assert method.pointer.item() == 16
        close(method.keys[16:], old[16:])


def test_mistake_06_moco_enqueues_between_the_two_losses() -> None:
    class Enqueues(MoCo):
        def loss(self, views: Sequence[Tensor], at: Progress) -> Step:
            losses, keys = [], []
            for query, key in ((0, 1), (1, 0)):
                keys.append(self.teacher(views[key]).detach())
                losses.append(info_nce_queue(self.online(views[query]), keys[-1], self.keys.clone(), 0.2))
                enqueue(self.keys, self.pointer, keys[-1])
            return Step(torch.stack(losses).mean(), losses[0].detach(), {}, torch.cat(keys))

    check_no_key_meets_its_own_image(without_norm(make("moco-v2")))
    fails(check_no_key_meets_its_own_image, without_norm(make("moco-v2", Enqueues)))


# --- 7 ---


def check_queue_is_saved(method: MoCo) -> None:
    enqueue(method.keys, method.pointer, torch.randn(5, 8))
    fresh = type(method)(Conv4(width=4), method.settings, method.views)
    fresh.load_state_dict(method.state_dict())
    assert torch.equal(fresh.keys, method.keys)
    assert torch.equal(fresh.pointer, method.pointer)


def check_ring(write: Callable[[Tensor, Tensor, Tensor], None]) -> None:
    """No key of a batch is lost where the queue wraps."""
    queue, pointer, keys = torch.zeros(5, 3), torch.tensor(3), F.normalize(torch.randn(4, 3), dim=1)
    write(queue, pointer, keys)
    close(queue[[3, 4, 0, 1]], keys)
    assert pointer.item() == 2


def test_mistake_07_the_queue_is_not_saved_or_loses_keys_where_it_wraps() -> None:
    """That it is gathered over processes is in test_distributed.py."""

    class Forgets(MoCo):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self.register_buffer("keys", self.keys.clone(), persistent=False)

    def cut(queue: Tensor, pointer: Tensor, keys: Tensor) -> None:
        room = len(queue) - int(pointer)
        queue[int(pointer) :] = keys[:room]
        pointer.copy_((pointer + len(keys)) % len(queue))

    check_queue_is_saved(make("moco-v2"))
    fails(check_queue_is_saved, make("moco-v2", Forgets))
    check_ring(enqueue)
    fails(check_ring, cut)


# --- 8 ---


def influences(compute: Callable[[Tensor], Tensor], view: Tensor) -> list[set[int]]:
    """For each row, the images on which its output depends."""
    with torch.no_grad():
        before, sets = compute(view), [set[int]() for _ in view]
        for other in range(len(view)):
            changed = view.clone()
            changed[other] = torch.randn_like(changed[other])
            for row in (compute(changed) != before).any(dim=1).nonzero()[:, 0].tolist():
                sets[row].add(other)
    return sets


def check_shuffled_groups(method: MoCo) -> None:
    """The batch statistics of a key come from other images than those of its query."""
    view = batch(method, 16)[0]
    of_query = influences(lambda x: method._in_groups(method.online, x), view)
    of_key = influences(lambda x: method._shuffled_keys(x, seed=3), view)
    assert all(i in group and len(group) == 2 for i, group in enumerate(of_query))
    assert all(i in group and len(group) == 2 for i, group in enumerate(of_key))  # in its own place again
    assert sum(a != b for a, b in zip(of_query, of_key, strict=True)) >= 12


def test_mistake_08_shuffling_within_one_group_of_batch_statistics_changes_nothing() -> None:
    class DoesNotShuffle(MoCo):
        @torch.no_grad()
        def _shuffled_keys(self, view: Tensor, seed: int) -> Tensor:
            return self._in_groups(self.teacher, view)

    check_shuffled_groups(make("moco-v2", groups=8))
    assert METHODS["moco-v2"].method.Settings().groups == 8
    fails(check_shuffled_groups, make("moco-v2", groups=1))  # shuffled within the whole batch
    fails(check_shuffled_groups, make("moco-v2", DoesNotShuffle))


# --- 9 ---


def check_statistics_of_the_teachers_own(method: Any) -> None:
    apart(method)
    student = {id(b) for b in (method.student if isinstance(method, DINO) else method.online).buffers()}
    statistics = {key: b for key, b in method.teacher.named_buffers() if "running" in key}
    assert statistics
    assert not any(id(b) in student for b in statistics.values())
    before = {key: b.clone() for key, b in statistics.items()}
    step = method.loss([4 * view + 2 for view in batch(method)], AT)
    assert not any(torch.equal(b, before[key]) for key, b in statistics.items())
    before = {key: b.clone() for key, b in statistics.items()}
    method.after_step(step.carry, AT)
    assert all(torch.equal(b, before[key]) for key, b in statistics.items())


@pytest.mark.parametrize("name", WITH_TEACHER)
def test_mistake_09_the_teacher_averages_batch_statistics(name: str) -> None:
    class Averages(METHODS[name].method):  # type: ignore[misc]
        def after_step(self, carry: Tensor | None, at: Progress) -> dict[str, float]:
            student = self.student if name == "dino" else self.online
            for mine, other in zip(self.teacher.buffers(), student.buffers(), strict=True):
                if mine.is_floating_point():
                    mine.lerp_(other, 0.1)
            return super().after_step(carry, at)  # type: ignore[no-any-return]

    class Evaluates(METHODS[name].method):  # type: ignore[misc]
        def loss(self, views: Sequence[Tensor], at: Progress) -> Step:
            self.teacher.eval()
            return super().loss(views, at)  # type: ignore[no-any-return]

    check_statistics_of_the_teachers_own(make(name))
    fails(check_statistics_of_the_teachers_own, make(name, Averages))
    fails(check_statistics_of_the_teachers_own, make(name, Evaluates))


# --- 10 ---

ADAM_AT_MOST = 5e-3


def check_rate(config: Config) -> None:
    adam = config.optimizer.name == "adamw"
    assert config.optimizer.lr <= ADAM_AT_MOST if adam else config.optimizer.lr > ADAM_AT_MOST


@pytest.mark.parametrize("name", sorted(METHODS))
def test_mistake_10_a_learning_rate_of_sgd_or_lars_with_adam(name: str) -> None:
    """Also when only the optimiser is given: the rate that goes with it comes along, unless one is given too."""
    check_rate(resolve({"method": name}))
    for optimizer in ("sgd", "adamw", "lars"):
        check_rate(resolve({"method": name, "optimizer": {"name": optimizer}}))
    asked = resolve({"method": name, "optimizer": {"name": "adamw", "lr": 0.2}})
    assert asked.optimizer.lr == 0.2
    fails(check_rate, asked)


# --- 11 ---


def check_groups(method: Method, optimizer: torch.optim.Optimizer) -> None:
    """With gradients of zero, decay alone moves weights: matrices and kernels shrink, biases and norms stay."""
    with torch.no_grad():
        for p in method.parameters():
            p.add_(1.0)
    before = {key: p.detach().clone() for key, p in method.named_parameters() if p.requires_grad}
    for p in method.parameters():
        p.grad = torch.zeros_like(p) if p.requires_grad else None
    optimizer.step()
    for key, p in method.named_parameters():
        if key in before:
            assert torch.equal(p, before[key]) == (p.ndim <= 1), key


@pytest.mark.parametrize("kind", ["sgd", "adamw", "lars"])
@pytest.mark.parametrize("name", ["byol", "dino", "mae", "moco-v3"])
def test_mistake_11_biases_and_norms_decay(name: str, kind: str) -> None:
    """LARS's rate on known numbers is in test_method_losses.py."""
    config = config_of(name, optimizer={"name": kind, "lr": 1.0, "weight_decay": 0.1})
    method = make(name)
    check_groups(method, make_optimizer(method, config.optimizer))
    method = make(name)
    everything = [p for p in method.parameters() if p.requires_grad]
    fails(check_groups, method, torch.optim.SGD(everything, 1.0, weight_decay=0.1))


def test_mistake_11_lars_momentum_with_the_rate_inside() -> None:
    """Ours is the popular kind: the rate multiplies the momentum; of the classic kind, a change of it would come late."""
    p = nn.Parameter(torch.tensor([1.0]))
    module = nn.Module()
    module.register_parameter("bias", p)
    optimizer = make_optimizer(
        module, config_of("byol", optimizer={"name": "lars", "lr": 1.0, "momentum": 0.5}).optimizer
    )
    steps = []
    for rate in (1.0, 0.1):
        for group in optimizer.param_groups:
            group["lr"] = rate
        before, p.grad = p.item(), torch.tensor([1.0])
        optimizer.step()
        steps.append(before - p.item())
    popular, classic = [1.0, 0.1 * 1.5], [1.0, 0.5 * 1.0 + 0.1]
    assert steps == pytest.approx(popular)
    assert steps != pytest.approx(classic)


# --- 12 ---


def check_clipping(clip: Callable[[list[nn.Parameter]], object]) -> None:
    long, short = nn.Parameter(torch.zeros(4)), nn.Parameter(torch.zeros(4))
    long.grad, short.grad = torch.full((4,), 50.0), torch.full((4,), 0.5)
    clip([long, short])
    close(long.grad, torch.full((4,), 1.5))
    close(short.grad, torch.full((4,), 0.5))


def check_frozen_prototypes_stay(method: DINO) -> None:
    config = config_of("dino", optimizer={"weight_decay": 0.5, "lr": 0.1})
    optimizer = make_optimizer(method, config.optimizer)
    assert isinstance(optimizer, torch.optim.AdamW)
    before = method.student.head.prototypes.detach().clone()
    for _ in range(2):
        optimizer.zero_grad()
        method.loss(batch(method), FIRST_EPOCH).loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert torch.equal(method.student.head.prototypes, before)


def test_mistake_12_gradients_are_clipped_together_and_frozen_prototypes_still_decay() -> None:
    class ZeroesGradients(DINO):
        def loss(self, views: Sequence[Tensor], at: Progress) -> Step:
            step = super().loss(views, at._replace(epoch=9))
            self.student.head.prototypes.register_hook(torch.zeros_like)  # type: ignore[no-untyped-call]
            return step

    check_clipping(lambda parameters: clip_each(parameters, 3.0))
    fails(check_clipping, lambda parameters: nn.utils.clip_grad_norm_(parameters, 3.0))
    check_frozen_prototypes_stay(make("dino"))
    fails(check_frozen_prototypes_stay, make("dino", ZeroesGradients))


# --- 13 ---


def check_centre(method: DINO) -> None:
    """The loss takes the old centre; then it moves by a tenth to the mean of the raw logits of both whole views."""
    apart(method)
    views = batch(method)
    old = method.centre.clone()
    step = method.loss(views, AT)
    with torch.no_grad():
        logits = method.teacher.head(method.teacher.backbone(torch.cat(views[:2])))
        student = method.student.head(method.student.backbone(torch.cat(views)))
        expected = self_distillation(
            student.view(4, 8, 12), logits.view(2, 8, 12), old, 0.1, method._teacher_temperature(AT)
        )
    close(step.loss, expected)
    method.after_step(step.carry, AT)
    close(method.centre, 0.9 * old + 0.1 * logits.mean(dim=0))


def test_mistake_13_the_centre_is_of_probabilities_or_moves_before_it_is_used() -> None:
    class OfProbabilities(DINO):
        def after_step(self, carry: Tensor | None, at: Progress) -> dict[str, float]:
            assert carry is not None
            return super().after_step(carry.softmax(dim=1), at)

    class OfTheFirstView(DINO):
        def after_step(self, carry: Tensor | None, at: Progress) -> dict[str, float]:
            assert carry is not None
            return super().after_step(carry[: len(carry) // 2], at)

    class MovesFirst(DINO):
        def loss(self, views: Sequence[Tensor], at: Progress) -> Step:
            self.centre.lerp_(super().loss(views, at).carry.mean(dim=0), 0.1)  # type: ignore[union-attr]
            return super().loss(views, at)

    check_centre(make("dino"))
    for twin in (OfProbabilities, OfTheFirstView, MovesFirst):
        fails(check_centre, make("dino", twin))


# --- 14 ---


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


# --- 15 ---


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
    """docs/recipes.md states them."""
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


# --- 16 ---

COLOURS = {  # brightness, contrast, saturation, hue, probability of all of it, of grey
    "moco-v1": (0.4, 0.4, 0.4, 0.4, 1.0, 0.2),
    "moco-v2": (0.4, 0.4, 0.4, 0.1, 0.8, 0.2),
    "byol": (0.4, 0.4, 0.2, 0.1, 0.8, 0.2),
    "dino": (0.4, 0.4, 0.2, 0.1, 0.8, 0.2),
    "moco-v3": (0.4, 0.4, 0.2, 0.1, 0.8, 0.2),
    "simclr": (0.4, 0.4, 0.4, 0.1, 0.8, 0.2),  # strength 0.5 of (0.8, 0.8, 0.8, 0.2), as for CIFAR
}


def check_colours(name: str, config: Config) -> None:
    """The settings are the factors themselves, and the drawn factors fill exactly their range."""
    a = config.augment
    assert (a.brightness, a.contrast, a.saturation, a.hue, a.jitter, a.grey) == COLOURS[name]
    only = dataclasses.replace(a, contrast=0.0, saturation=0.0, hue=0.0, jitter=1.0, grey=0.0)
    factors = views.colour_matrices(torch.full((2000, 3, 1, 1), 0.5), only, torch.Generator().manual_seed(0))[:, 0, 0]
    assert factors.min().item() == pytest.approx(1 - COLOURS[name][0], abs=0.01)
    assert factors.max().item() == pytest.approx(1 + COLOURS[name][0], abs=0.01)


@pytest.mark.parametrize("name", COLOURS)
def test_mistake_16_a_strength_of_colour_jitter_means_something_else(name: str) -> None:
    config = resolve({"method": name})
    check_colours(name, config)
    halved = dataclasses.replace(config.augment, brightness=config.augment.brightness / 2)
    fails(check_colours, name, dataclasses.replace(config, augment=halved))
    other = dataclasses.replace(config.augment, hue=0.1 if name == "moco-v1" else 0.4)
    fails(check_colours, name, dataclasses.replace(config, augment=other))


# --- 17 ---


def check_stem(backbone: nn.Module) -> None:
    """The first block sees small images at full size."""
    seen: list[Tensor] = []
    backbone.get_submodule("layer1").register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    backbone.eval()(torch.zeros(1, 3, 32, 32))
    assert seen[0].shape[2:] == (32, 32)


def test_mistake_17_small_images_go_through_the_stem_for_large_ones() -> None:
    check_stem(make_backbone("resnet10t", 32)[0])
    fails(check_stem, timm.create_model("resnet10t", num_classes=0))


# --- 18 ---


def check_report_says_its_protocol(report: type, result: type) -> None:
    said = {f.name for cls in (report, result) for f in dataclasses.fields(cls)}
    assert {"k", "temperature", "n_train", "n_test", "split", "encoder"} <= said


def test_mistake_18_k_nn_figures_of_different_k_or_temperature_are_compared() -> None:
    """Nothing can stop a reader from comparing them; but every report says k and T, and the monitor's are the DINO paper's."""

    @dataclasses.dataclass
    class Bare:
        top1: float

    check_report_says_its_protocol(KnnReport, KnnResult)
    fails(check_report_says_its_protocol, KnnReport, Bare)
    assert (monitor.KNN_K, monitor.KNN_TEMPERATURE) == (20, 0.07)


# --- 19 ---


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


# --- 20 ---

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
    check_collapses_are_told(monitor.collapse)
    fails(check_collapses_are_told, lambda figures, uniform: figures["loss"] < 0.01)
    fails(check_collapses_are_told, lambda figures, uniform: figures["feature_std"] < 0.1)
    assert make("dino").uniform_loss == pytest.approx(math.log(12))
    assert make("jigsaw").uniform_loss == pytest.approx(math.log(6))
    for name in set(METHODS) - {"dino", "jigsaw"}:
        assert make(name).uniform_loss is None


def test_twins_are_of_the_methods_that_they_claim() -> None:
    expected = {"byol": BYOL, "dino": DINO, "lejepa": LeJEPA, "moco-v2": MoCo, "moco-v3": MoCoV3, "simclr": SimCLR}
    assert {name: METHODS[name].method for name in expected} == expected

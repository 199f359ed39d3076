"""DINO's head, last layer, clipping and centre."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.trainers.small import AT, FIRST_EPOCH, apart, batch, close, config_of, fails, make
from trainers.losses import (
    self_distillation,
)
from trainers.methods import METHODS, Progress, Step
from trainers.methods.dino import DINO
from trainers.models.heads import DINOHead
from trainers.optimization.optimizers import clip_each, make_optimizer


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


def check_no_layer_is_used_twice(module: nn.Module) -> None:
    places = [id(m) for _, m in module.named_modules(remove_duplicate=False)]
    assert len(places) == len(set(places))


@pytest.mark.parametrize("name", sorted(METHODS))
def test_mistake_03_a_head_uses_one_norm_at_two_places(name: str) -> None:
    check_no_layer_is_used_twice(make(name))
    norm = nn.BatchNorm1d(4)
    fails(check_no_layer_is_used_twice, nn.Sequential(nn.Linear(4, 4), norm, nn.Linear(4, 4), norm))


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

"""DINO: its last layer in the first epoch, its centre, and local crops, which ibot and lejepa have too."""

import pytest
import torch
from torch import nn

from tests.trainers.small import AT, FIRST_EPOCH, apart, batch, close, make
from trainers.config.resolve import resolve
from trainers.losses import self_distillation
from trainers.methods import METHODS, Progress
from trainers.methods.dino import teacher_temperature


def test_in_the_first_epoch_the_students_prototypes_stay_and_the_teachers_follow_them() -> None:
    method = apart(make("dino"))
    for at, frozen in ((FIRST_EPOCH, True), (AT, False)):
        method.zero_grad()
        step = method.loss(batch(method), at)
        step.loss.backward()
        assert (method.student.head.prototypes.grad is None) == frozen
        before = method.teacher.head.prototypes.clone()
        method.after_step(step.carry, at)
        assert not torch.equal(method.teacher.head.prototypes, before)


def test_prototypes_are_frozen_for_at_most_a_tenth_of_the_training() -> None:
    method = make("dino", frozen_epochs=9)
    method.loss(batch(method), AT._replace(fraction=0.1)).loss.backward()
    assert method.student.head.prototypes.grad is not None


@pytest.mark.parametrize(("name", "blur", "solarize"), [("dino", 0.5, 0.0), ("ibot", 0.5, 0.0), ("lejepa", 0.5, 0.2)])
def test_local_crops_show_a_smaller_part(name: str, blur: float, solarize: float) -> None:
    config = resolve({"method": name, "image_size": 96, name: {"local_crops": 2}})
    *whole, first, second = METHODS[name].make_views(config.augment, 96, config.settings)
    assert [spec.augment for spec in whole] == [config.augment] * 2
    assert first == second
    assert (first.size, first.augment.crop_min, first.augment.crop_max) == (48, 0.1, 0.4)
    assert (first.blur, first.solarize) == (blur, solarize)


@pytest.mark.parametrize("norm", [False, True])
def test_the_first_projection_ends_with_the_first_hidden_layer(norm: bool) -> None:
    method = make("dino", head_norm=norm)
    assert isinstance(method.first_projection[-1], nn.GELU)
    assert any(isinstance(layer, nn.BatchNorm1d) for layer in method.first_projection) == norm
    assert isinstance(method.teacher.head.layers[len(method.first_projection)], nn.Linear)


def test_the_teachers_temperature_rises_over_its_warmup() -> None:
    method = make("dino", teacher_temperature=0.07, teacher_warmup=0.3)
    rises = [method.after_step(torch.zeros(2, 12), Progress(0, 0, f))["teacher_temperature"] for f in (0, 0.15, 0.3, 1)]
    assert rises == pytest.approx([0.04, 0.055, 0.07, 0.07])


def test_the_centre_is_the_mean_of_logits_and_moves_after_the_loss() -> None:
    """The loss takes the old centre; then it moves by a tenth to the mean of the raw logits of both whole views."""
    method = apart(make("dino"))
    views = batch(method)
    old = method.centre.clone()
    step = method.loss(views, AT)
    with torch.no_grad():
        logits = method.teacher.head(method.teacher.backbone(torch.cat(views[:2])))
        student = method.student.head(method.student.backbone(torch.cat(views)))
        expected = self_distillation(
            student.view(4, 8, 12), logits.view(2, 8, 12), old, 0.1, teacher_temperature(method.settings, AT)
        )
    close(step.loss, expected)
    method.after_step(step.carry, AT)
    close(method.centre, 0.9 * old + 0.1 * logits.mean(dim=0))

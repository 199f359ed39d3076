"""iBOT: what student and teacher see, its loss by hand, its two centres, KoLeo, and the networks it accepts."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from featurestore.errors import ConfigError
from tests.trainers.small import AT, FIRST_EPOCH, apart, batch, close, config_of, make
from trainers.config.resolve import resolve
from trainers.losses import koleo, self_distillation
from trainers.methods import Progress
from trainers.methods.dino import teacher_temperature
from trainers.models.backbones import encode_tokens
from trainers.training.setup import build

P = 12  # prototypes


def whole_and_hidden(method: Any, views: list[Tensor], at: Progress = AT) -> tuple[Tensor, Tensor]:
    whole = torch.cat(views[:2])
    return whole, method._hide(whole, at.seed)[0]


def test_the_loss_is_dinos_of_class_tokens_plus_that_of_hidden_patches_plus_koleo() -> None:
    """Patch by patch; the student sees whole views with hidden patches, the teacher all of them."""
    method = apart(make("ibot", mask_min=0.3, mask_max=0.9))
    views = batch(method)
    step = method.loss(views, AT)
    whole, hidden = whole_and_hidden(method, views)
    t = teacher_temperature(method.settings, AT)
    with torch.no_grad():
        teacher = encode_tokens(method.teacher.backbone, whole)
        student = encode_tokens(method.student.backbone, whole, hidden, method.hidden_token)
        local = method.student.backbone(torch.cat(views[2:]))
        features = torch.cat([student[:, 0], local])
        seen = method.teacher.head(teacher[:, 0])
        classes = self_distillation(
            method.student.head(features).view(4, 8, P), seen.view(2, 8, P), method.centre[0], 0.1, t
        )
        patches, told = 0.0, []
        for image in range(16):
            places = [j for j in range(4) if hidden[image, j]]
            for j in places:
                logits = method.teacher.head(teacher[image : image + 1, 1 + j])[0]
                guess = method.student.head(student[image : image + 1, 1 + j])[0]
                target = ((logits - method.centre[1]) / t).softmax(dim=0)
                patches -= (target * (guess / 0.1).log_softmax(dim=0)).sum() / len(places) / 16
                told.append(logits)
        spread = koleo(features[:8]) + koleo(features[8:16])
    assert {*hidden.sum(dim=1).tolist()} >= {0, 1, 3}
    close(step.logs["class_loss"], classes)
    close(step.logs["patch_loss"], torch.as_tensor(patches))
    close(step.loss, classes + patches + 0.1 * spread)

    before = method.centre.clone()
    method.after_step(step.carry, AT)
    close(method.centre[0], 0.9 * before[0] + 0.1 * seen.mean(dim=0))
    close(method.centre[1], 0.9 * before[1] + 0.1 * torch.stack(told).mean(dim=0))


def test_what_is_hidden_changes_only_the_targets() -> None:
    """The student's outputs are the same with other pixels there; the teacher's are not."""
    method = apart(make("ibot"))
    views = batch(method)
    whole, hidden = whole_and_hidden(method, views)
    pixels = hidden.view(-1, 2, 2).repeat_interleave(8, 1).repeat_interleave(8, 2)[:, None]
    other = torch.where(pixels, torch.randn_like(whole), whole)
    masked = [encode_tokens(method.student.backbone, x, hidden, method.hidden_token) for x in (whole, other)]
    close(*masked)
    seen = [encode_tokens(method.teacher.backbone, x) for x in (whole, other)]
    assert not torch.allclose(seen[0], seen[1], atol=1e-3)
    losses = [method.loss([*x.chunk(2), *views[2:]], AT).loss for x in (whole, other)]
    assert not torch.allclose(losses[0], losses[1])


def test_masks_are_drawn_by_the_seed_of_the_step() -> None:
    method = make("ibot")
    views = batch(method)
    masks = [whole_and_hidden(method, views, AT._replace(seed=seed))[1] for seed in (1, 1, 2)]
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])
    assert torch.equal(method.loss(views, AT).loss, method.loss(views, AT).loss)


def test_without_koleo_the_loss_has_no_such_term() -> None:
    method = make("ibot", koleo=0.0)
    step = method.loss(batch(method), AT)
    assert "koleo" not in step.logs
    close(step.loss, step.logs["class_loss"] + step.logs["patch_loss"])


def test_without_local_crops_whole_views_remain() -> None:
    method = make("ibot", local_crops=0)
    assert len(method.views) == 2
    assert torch.isfinite(method.loss(batch(method), AT).loss)


def test_prototypes_are_frozen_in_the_first_epoch_and_the_hidden_token_is_not() -> None:
    method = make("ibot")
    method.loss(batch(method), FIRST_EPOCH).loss.backward()
    assert method.student.head.prototypes.grad is None
    assert method.hidden_token.grad.any()


def test_the_momentum_rises_to_one_along_a_cosine() -> None:
    method = make("ibot")
    carry = torch.zeros(1, 2, P)
    momenta = [method.after_step(carry, Progress(0, 0, f))["teacher_momentum"] for f in (0.0, 0.5, 1.0)]
    assert momenta == pytest.approx([0.99, 0.995, 1.0])


def test_settings_that_it_has_from_dino_work_as_there() -> None:
    method = make("ibot", momentum=0.9, momentum_schedule="constant", head_norm=True)
    carry = method.loss(batch(method), AT).carry
    for fraction in (0.0, 0.5, 1.0):
        assert method.after_step(carry, Progress(step=5, epoch=1, fraction=fraction))["teacher_momentum"] == 0.9
    assert any(isinstance(layer, nn.BatchNorm1d) for layer in method.first_projection)


def test_registers_take_part_and_the_vector_is_the_class_token_of_the_teacher() -> None:
    vit = {"backbone": "test_vit", "patch_size": 8, "registers": 2}
    method: Any = build(config_of("ibot", **vit)).eval()
    x = torch.randn(2, 3, 16, 16)
    tokens = encode_tokens(method.teacher.backbone, x)
    assert tokens.shape[1] == 1 + 2 + 4
    torch.testing.assert_close(method.export_backbone(x), tokens[:, 0])
    views = [torch.randn(4, 3, 16, 16) for _ in method.views]
    method.loss(views, AT).loss.backward()
    assert method.student.backbone.get_parameter("reg_token").grad.any()
    _, rows, _ = method._hide(torch.cat(views[:2]), AT.seed)
    assert rows.max() < 8 * 4  # patches are counted without them


@pytest.mark.parametrize("backbone", ["conv4", "vit_pwee_patch16_reg1_gap_256", "deit_tiny_patch16_224"])
def test_ibot_refuses_networks_without_a_class_token_to_train(backbone: str) -> None:
    with pytest.raises(ConfigError, match=r"ViT whose vector is its class token.*vit_tiny"):
        build(resolve({"method": "ibot", "backbone": backbone, "image_size": 224}))

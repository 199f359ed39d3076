"""Drop-path: in the student alone, by the seed of the step."""

from typing import Any

import pytest
import torch
from timm.layers.drop import DropPath

from trainers.config.resolve import resolve
from trainers.methods import METHODS, Progress
from trainers.models.backbones import make_backbone
from trainers.models.teacher import make_teacher
from trainers.training.setup import build

AT = Progress(step=3, epoch=1, fraction=0.25, seed=5)


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

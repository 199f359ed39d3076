"""The teacher: how it moves, and drop-path, which only the student has, by the seed of the step."""

import pytest
import torch
from timm.layers.drop import DropPath
from torch import nn

from tests.trainers.small import AT, config_of
from trainers.methods import METHODS
from trainers.models.backbones import make_backbone
from trainers.models.teacher import make_teacher, update_teacher
from trainers.training.setup import build


def test_update_teacher_on_known_numbers() -> None:
    student, teacher = nn.Linear(2, 1), nn.Linear(2, 1)
    with torch.no_grad():
        student.weight.copy_(torch.tensor([[1.0, 2.0]]))
        teacher.weight.copy_(torch.tensor([[3.0, 4.0]]))
    update_teacher(teacher, student, 0.75)
    torch.testing.assert_close(teacher.weight.data, torch.tensor([[2.5, 3.5]]))


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_loss_under_drop_path_is_pure_and_follows_its_seed(name: str) -> None:
    method = build(config_of(name, backbone="test_vit", patch_size=8, drop_path=0.5)).train()
    views = [torch.randn(6, 3, spec.size, spec.size) for spec in method.views]
    first, second, other = (method.loss(views, AT._replace(seed=seed)).loss for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_the_student_drops_paths_and_the_teacher_never() -> None:
    student, _ = make_backbone("test_vit", 16, patch_size=8, drop_path=0.5)
    teacher = make_teacher(student.train())
    assert max(m.drop_prob or 0.0 for m in student.modules() if isinstance(m, DropPath)) == 0.5
    x = torch.randn(4, 3, 16, 16)
    assert teacher.training
    assert torch.equal(teacher(x), teacher(x))
    assert not torch.equal(student(x), student(x))
    torch.testing.assert_close(teacher(x), student.eval()(x))

"""Whose weights follow whose, when, and which are kept."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from featurestore.progress import Listener
from tests.trainers.small import AT, WITH_TEACHER, apart, batch, config_of, fails, make
from trainers.data.images import Images
from trainers.methods import METHODS, Method, Progress, Step
from trainers.methods.byol import BYOL
from trainers.methods.dino import DINO
from trainers.models.teacher import update_teacher
from trainers.training import loop
from trainers.training.setup import assemble


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
    setup = assemble(config, fabric, apart(make(name, Watched)), Images(pixels, (), (), ""), Listener())
    loop.fit(setup, folder, lambda backbone: {}, None, {})
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

"""The teacher: when it moves, whose batch statistics it has, and what byol does with it."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import Tensor

from featurestore.progress import Listener
from tests.trainers.small import AT, WITH_TEACHER, apart, batch, close, config_of, make
from trainers.data.images import Images
from trainers.methods import METHODS, Progress, Step
from trainers.methods.dino import DINO
from trainers.training import loop
from trainers.training.setup import assemble


@pytest.mark.parametrize("name", ["byol", "dino", "ibot", "moco-v2", "moco-v3"])
def test_teacher_centre_and_queue_move_once_and_after_the_optimiser(name: str, tmp_path: Path) -> None:
    """First all parts of the batch, then the optimiser, then teacher and centre, once, following the student after the step."""
    events: list[str] = []

    cls: Any = METHODS[name]

    class Watched(cls):  # type: ignore[misc]
        def loss(self, views: Sequence[Tensor], at: Progress) -> Step:
            before = self.without_gradient()
            step: Step = super().loss(views, at)
            unmoved = all(map(torch.equal, before, self.without_gradient()))
            events.append("loss" if unmoved else "loss moves the teacher")
            self.student_then = [p.detach().clone() for p in self.parameters() if p.requires_grad]
            return step

        def after_step(self, carry: Tensor | None, at: Progress) -> dict[str, float]:
            now = [p.detach() for p in self.parameters() if p.requires_grad]
            same = all(map(torch.equal, now, self.student_then))
            events.append("before optimiser" if same else "after optimiser")
            return super().after_step(carry, at)  # type: ignore[no-any-return]

        def without_gradient(self) -> list[Tensor]:
            moving = {"centre", "keys", "pointer"}
            frozen = [p.clone() for p in self.parameters() if not p.requires_grad]
            return frozen + [b.clone() for key, b in self.named_buffers() if key in moving]

    config = config_of(name, epochs=1, batch_size=12, accumulate=3, optimizer={"lr": 1.0, "warmup": 0.0})
    pixels = torch.randint(0, 256, (24, 3, 16, 16), dtype=torch.uint8)
    fabric = Fabric(accelerator="cpu", devices=1)
    fabric.launch()
    setup = assemble(config, fabric, apart(make(name, Watched)), Images(pixels, (), (), ""), Listener())
    loop.fit(setup, tmp_path, lambda backbone: {}, None, {})
    assert events == ["loss", "loss", "loss", "after optimiser"] * 2


@pytest.mark.parametrize("name", WITH_TEACHER)
def test_the_teacher_has_batch_statistics_of_its_own(name: str) -> None:
    """From its own forward passes in training mode, and never averaged with those of the student."""
    method: Any = apart(make(name))
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


def test_byol_swaps_the_views_between_student_and_teacher() -> None:
    method: Any = apart(make("byol"))
    one, two = batch(method)
    online, teacher = copy.deepcopy(method.online), copy.deepcopy(method.teacher)
    expected = torch.zeros(())
    for student_view, teacher_view in ((one, two), (two, one)):
        cosines = F.cosine_similarity(method.predictor(online(student_view)), teacher(teacher_view))
        expected = expected + (2 - 2 * cosines).mean()
    close(method.loss([one, two], AT).loss, expected)


def test_the_momentum_rises_to_one_along_a_cosine_except_mocos() -> None:
    for name in WITH_TEACHER:
        method = make(name)
        carry = torch.zeros(4, 12 if name == "dino" else 8)
        momenta = [method.after_step(carry, Progress(0, 0, f))["teacher_momentum"] for f in (0.0, 0.5, 1.0)]
        expected = [0.99] * 3 if name in ("moco-v1", "moco-v2") else [0.99, 0.995, 1.0]
        assert momenta == pytest.approx(expected)


@pytest.mark.parametrize("name", ["byol", "dino", "moco-v3"])
def test_the_momentum_stays_where_that_is_asked_for(name: str) -> None:
    method = apart(make(name, momentum=0.9, momentum_schedule="constant"))
    student = [p.detach().clone() for p in (method.student if name == "dino" else method.online).parameters()]
    before = [p.detach().clone() for p in method.teacher.parameters()]
    logged = method.after_step(torch.zeros(4, 12), Progress(0, 0, 1.0))["teacher_momentum"]
    assert logged == 0.9
    for moved, old, new in zip(method.teacher.parameters(), before, student, strict=True):
        close(moved.detach(), 0.9 * old + 0.1 * new)  # at the end of the training, where it would have stood still

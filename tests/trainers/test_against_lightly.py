"""Our losses against those of the public library lightly (MIT), in value and gradient, with its scale brought to ours.

Runs where lightly is installed: `pip install '.[bench]'`.
"""

from collections.abc import Callable, Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainers.losses import (
    info_nce_queue,
    negative_cosine,
    nt_xent,
    self_distillation,
    sigreg,
    spread_from_centre,
)
from trainers.models.queue import enqueue, new_queue
from trainers.models.teacher import make_teacher, update_teacher

pytest.importorskip("lightly")
pytestmark = pytest.mark.filterwarnings("ignore")  # lightly's own

SHAPES = [(2, 3), (5, 8), (16, 4), (33, 64)]


def same(ours: Callable[..., Tensor], theirs: Callable[..., Tensor], inputs: Sequence[Tensor]) -> None:
    """Both give one value, and one gradient with respect to each input."""
    values, gradients = [], []
    for loss in (ours, theirs):
        leaves = [x.clone().requires_grad_() for x in inputs]
        value = loss(*leaves)
        values.append(value.detach())
        gradients.append(torch.autograd.grad(value, leaves))
    torch.testing.assert_close(values[0], values[1], rtol=1e-4, atol=1e-5)
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("temperature", [0.07, 0.5, 2.0])
@pytest.mark.parametrize(("n", "dim"), SHAPES)
def test_nt_xent_is_lightlys(n: int, dim: int, temperature: float) -> None:
    """Scale 1: both are the mean over 2N."""
    from lightly.loss import NTXentLoss

    inputs = [torch.randn(n, dim) for _ in range(2)]
    same(lambda a, b: nt_xent(a, b, temperature), NTXentLoss(temperature), inputs)


@pytest.mark.parametrize("temperature", [0.07, 0.2])
@pytest.mark.parametrize(("n", "dim"), SHAPES)
def test_info_nce_with_a_queue_is_lightlys_with_a_memory_bank(n: int, dim: int, temperature: float) -> None:
    """Scale 1; and of what is enqueued both keep the same, up to their place."""
    from lightly.loss import NTXentLoss

    queue, keys = new_queue(64, dim), torch.randn(n, dim)
    theirs = NTXentLoss(temperature, memory_bank_size=(64, dim))
    theirs.memory_bank.bank.copy_(queue)
    same(lambda q: info_nce_queue(q, keys, queue, temperature), lambda q: theirs(q, keys), [torch.randn(n, dim)])
    theirs.memory_bank.bank.copy_(queue)
    theirs.memory_bank.bank_ptr.zero_()
    theirs(torch.randn(n, dim).requires_grad_(), keys)
    enqueue(queue, torch.zeros((), dtype=torch.long), keys)
    torch.testing.assert_close(theirs.memory_bank.bank, queue)


@pytest.mark.parametrize(("n", "dim"), SHAPES)
def test_byols_loss_is_lightlys_negative_cosine(n: int, dim: int) -> None:
    """Ours is 2 - 2 cos, as in the paper; theirs is -cos."""
    from lightly.loss import NegativeCosineSimilarity

    target, theirs = torch.randn(n, dim), NegativeCosineSimilarity()
    same(lambda p: negative_cosine(p, target), lambda p: 2 + 2 * theirs(p, target), [torch.randn(n, dim)])


@pytest.mark.parametrize("teacher_temperature", [0.04, 0.07])
@pytest.mark.parametrize("views", [2, 6])
@pytest.mark.parametrize(("n", "prototypes"), SHAPES)
def test_self_distillation_is_lightlys(n: int, prototypes: int, views: int, teacher_temperature: float) -> None:
    """Scale 1; and the centre that they keep is the one that our method moves."""
    from lightly.loss import DINOLoss

    teacher, centre = torch.randn(2, n, prototypes), 0.1 * torch.randn(prototypes)
    theirs = DINOLoss(prototypes, student_temp=0.1)

    def reference(student: Tensor) -> Tensor:
        theirs.center.copy_(centre)
        return torch.as_tensor(theirs(list(teacher), list(student), teacher_temp=teacher_temperature))

    same(
        lambda student: self_distillation(student, teacher, centre, 0.1, teacher_temperature),
        reference,
        [torch.randn(views, n, prototypes)],
    )
    torch.testing.assert_close(theirs.center.view(-1), centre.lerp(teacher.mean(dim=(0, 1)), 0.1))


@pytest.mark.parametrize("weight", [0.02, 0.5])
@pytest.mark.parametrize(("n", "dim"), SHAPES)
def test_lejepas_loss_is_lightlys(n: int, dim: int, weight: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scale 1, since its release 1.6, which counts the global views in both terms."""
    from lightly.loss import LeJEPALoss

    directions = F.normalize(torch.randn(dim, 24), dim=0)
    theirs = LeJEPALoss(lambda_param=weight, sigreg_num_vectors=24)
    monkeypatch.setattr(theirs.sigreg, "_generate_unit_vectors", lambda *_, **__: directions)

    def ours(z: Tensor) -> Tensor:
        spread = torch.stack([sigreg(view, directions) for view in z]).mean()
        return weight * spread + (1 - weight) * spread_from_centre(z, 2)

    same(ours, lambda z: theirs(global_proj=z[:2], local_proj=z[2:]), [torch.randn(5, n, dim)])


def test_the_teacher_moves_as_lightlys_does() -> None:
    from lightly.models.utils import update_momentum

    student = nn.Linear(7, 5)
    ours, theirs = make_teacher(nn.Linear(7, 5)), nn.Linear(7, 5)
    theirs.load_state_dict(ours.state_dict())
    update_teacher(ours, student, 0.9)
    update_momentum(student, theirs, 0.9)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a.data, b.data)

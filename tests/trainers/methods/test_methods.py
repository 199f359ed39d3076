"""What every method owes the loop, checked for every entry of METHODS."""

import copy
import math
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import nn

from featurestore.encoders.encoder import Encoder
from tests.trainers.small import AT, batch, config_of, make
from trainers.export.torch_onnx import export
from trainers.export.training_run import make_card
from trainers.methods import METHODS, Method, Progress
from trainers.methods.byol import BYOL
from trainers.methods.simclr import SimCLR
from trainers.optimization.optimizers import make_optimizer
from trainers.training import monitor

MOVED_BESIDE_THE_TEACHER = {"dino": {"centre"}, "moco-v1": {"keys", "pointer"}, "moco-v2": {"keys", "pointer"}}


@pytest.fixture(params=sorted(METHODS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def method(name: str) -> Method:
    made: Method = make(name)
    return made


def steps(method: Method, optimizer: torch.optim.Optimizer, seeds: Sequence[int]) -> list[float]:
    losses = []
    for seed in seeds:
        at = Progress(seed, 0, seed / 10)
        step = method.loss(batch(method, seed=seed), at)
        step.loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
        method.after_step(step.carry, at)
        losses.append(step.loss.item())
    return losses


def teacher_parameters(method: Method) -> dict[str, nn.Parameter]:
    return {name: p for name, p in method.named_parameters() if not p.requires_grad and "teacher" in name}


def test_a_loss_is_a_finite_scalar_and_the_projections_are_detached(method: Method) -> None:
    step = method.loss(batch(method), AT)
    assert step.loss.shape == ()
    assert torch.isfinite(step.loss)
    assert len(step.projections) == 8
    assert not step.projections.requires_grad


def test_a_loss_called_twice_gives_the_same_number_and_moves_no_parameter(method: Method) -> None:
    before = {name: p.clone() for name, p in method.named_parameters()}
    first, second = (method.loss(batch(method), AT).loss for _ in range(2))
    assert torch.equal(first, second)
    assert all(torch.equal(before[name], p) for name, p in method.named_parameters())


def test_every_trainable_parameter_gets_a_gradient_and_the_teacher_none(method: Method) -> None:
    method.loss(batch(method), AT).loss.backward()  # type: ignore[no-untyped-call]
    without = [
        name for name, p in method.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())
    ]
    assert without == []
    assert all(p.grad is None for p in teacher_parameters(method).values())


def test_after_step_moves_exactly_what_it_should(name: str, method: Method) -> None:
    step = method.loss(batch(method), AT)
    with torch.no_grad():
        for parameter in method.parameters():
            if parameter.requires_grad:
                parameter.add_(1.0)  # now student and teacher differ everywhere
    before = {name: value.clone() for name, value in method.state_dict().items()}
    method.after_step(step.carry, AT)
    moved = {name for name, value in method.state_dict().items() if not torch.equal(before[name], value)}
    assert moved == set(teacher_parameters(method)) | MOVED_BESIDE_THE_TEACHER.get(name, set())


def test_a_saved_and_loaded_method_goes_on_as_if_never_stopped(name: str, method: Method) -> None:
    optimizer = make_optimizer(method, config_of("byol").optimizer)
    steps(method, optimizer, [1, 2, 3])
    saved = copy.deepcopy(method.state_dict()), copy.deepcopy(optimizer.state_dict())
    uninterrupted = steps(method, optimizer, [4, 5, 6])

    fresh = make(name, seed=99)
    fresh.load_state_dict(saved[0])
    optimizer = make_optimizer(fresh, config_of("byol").optimizer)
    optimizer.load_state_dict(saved[1])
    assert steps(fresh, optimizer, [4, 5, 6]) == uninterrupted


def test_the_student_is_exported_but_for_dino_whose_teacher_is(name: str, method: Method) -> None:
    """Mistake 1: evaluating the momentum network of BYOL or MoCo, or the student of DINO."""
    trainable = all(p.requires_grad for p in method.export_backbone.parameters())
    assert trainable == (name != "dino")
    expected = {"dino": "teacher", "mae": "encoder", "jigsaw": "trunk"}
    assert method.export_branch == expected.get(name, "online")


EXPORTED = {
    "byol",
    "dino",
    "jigsaw",
    "mae",
}  # student, teacher, trunk and encoder; the others export a student as byol does, which takes seconds each


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n not in EXPORTED)) for n in sorted(METHODS)], indirect=True
)
def test_the_backbone_of_every_method_passes_the_check_of_its_export(name: str, method: Method, tmp_path: Path) -> None:
    """From the state it is in after a step, and though it was training."""
    steps(method, make_optimizer(method, config_of(name).optimizer), [1])
    card = make_card(config_of(name), method, {"images": 12, "sha256": "ab"})
    encoder = Encoder(export(method.export_backbone, card, tmp_path / "encoder.onnx"))
    assert (encoder.card.method, encoder.card.branch) == (name, method.export_branch)


def test_all_copies_of_the_backbone_start_equal(method: Method) -> None:
    first, *others = (network.state_dict() for network in method.backbones)
    for other in others:
        assert all(torch.equal(value, other[key]) for key, value in first.items())


def test_byol_uses_batch_statistics_of_the_teachers_own() -> None:
    method = make("byol")
    assert isinstance(method, BYOL)
    statistics = next(b for name, b in method.teacher.named_buffers() if name.endswith("running_mean"))
    before = statistics.clone()
    method.loss(batch(method), AT)
    assert method.teacher.training
    assert not torch.equal(before, statistics)


def test_byol_swaps_the_views_between_student_and_teacher() -> None:
    method = make("byol")
    assert isinstance(method, BYOL)
    one, two = batch(method)
    online, teacher = copy.deepcopy(method.online), copy.deepcopy(method.teacher)
    expected = torch.zeros(())
    for student_view, teacher_view in ((one, two), (two, one)):
        p = method.predictor(online(student_view))
        t = teacher(teacher_view)
        cosines = torch.nn.functional.cosine_similarity(p, t)
        expected = expected + (2 - 2 * cosines).mean()
    torch.testing.assert_close(method.loss([one, two], AT).loss, expected, rtol=1e-4, atol=1e-5)


def test_byol_teacher_momentum_rises_to_one_along_a_cosine() -> None:
    method = make("byol")
    momenta = [method.after_step(None, Progress(0, 0, f))["teacher_momentum"] for f in (0.0, 0.5, 1.0)]
    assert momenta == pytest.approx([0.99, 0.995, 1.0])


def test_simclr_sees_both_views_in_one_batch_of_statistics() -> None:
    method = make("simclr")
    assert isinstance(method, SimCLR)
    tracked = next(b for name, b in method.backbone.named_buffers() if name.endswith("num_batches_tracked"))
    method.loss(batch(method), AT)
    assert tracked.item() == 1


def test_feature_std_is_one_on_the_sphere_and_zero_at_a_point() -> None:
    assert monitor.feature_std(torch.randn(4000, 32)) == pytest.approx(1.0, abs=0.02)
    assert monitor.feature_std(torch.ones(100, 32) + 1e-6 * torch.randn(100, 32)) < 1e-3


def test_rankme_counts_dimensions() -> None:
    orthogonal = torch.eye(8).repeat(4, 1)
    assert monitor.rankme(orthogonal) == pytest.approx(8, rel=1e-3)
    assert monitor.rankme(torch.outer(torch.randn(50), torch.randn(8))) == pytest.approx(1, rel=1e-3)


def test_rankme_of_a_tensor_is_that_of_its_rows() -> None:
    z = torch.randn(60, 16, requires_grad=True)
    singular = torch.linalg.svdvals(z.detach().double())
    shares = (singular / singular.sum() + 1e-7).tolist()
    assert monitor.rankme(z) == pytest.approx(math.exp(-sum(p * math.log(p) for p in shares)), rel=1e-5)
    assert monitor.rankme(z.bfloat16()) == pytest.approx(monitor.rankme(z), rel=1e-2)


HEALTHY = {"feature_std": 1.0, "rankme": 20.0, "loss": 3.0, "epoch": 9}


@pytest.mark.parametrize(
    ("figures", "name", "word"),
    [
        ({"feature_std": 0.02}, "point", "nearly equal"),
        ({"rankme": 1.1}, "line", "on a line"),
        ({"width": 0.01}, "point", "shrink to nothing"),
        ({"prototypes_used": 1.01}, "one prototype", "fall on one prototype"),
    ],
)
def test_a_collapse_is_named_with_a_cure(figures: dict[str, float], name: str, word: str) -> None:
    verdict = monitor.collapse({**HEALTHY, **figures}, math.log(1024))
    assert verdict is not None
    assert verdict.name == name
    assert word in verdict.text
    assert "cure" in verdict.text


def test_health_is_not_reported() -> None:
    assert monitor.collapse(HEALTHY, None) is None
    assert monitor.collapse(HEALTHY, math.log(1024)) is None
    assert monitor.collapse({**HEALTHY, "prototypes_used": 1.01, "epoch": 1}, math.log(1024)) is None  # no centre yet
    assert monitor.collapse({**HEALTHY, "width": 0.9, "prototypes_used": 40.0}, math.log(1024)) is None


def test_a_uniform_output_is_a_collapse_when_it_stays() -> None:
    """Every run starts there, and a healthy loss may pass it on its way."""
    figures, uniform = {**HEALTHY, "loss": 6.93}, math.log(1024)
    assert monitor.is_uniform(6.93, uniform)
    assert not monitor.is_uniform(6.9, uniform)
    assert not monitor.is_uniform(6.93, None)
    assert monitor.collapse(figures, uniform, plateau=3) is None
    verdict = monitor.collapse(figures, uniform, plateau=4)
    assert verdict is not None
    assert verdict.name == "uniform"
    assert "ln(P)" in verdict.text

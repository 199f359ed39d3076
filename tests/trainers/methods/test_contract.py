"""The contract of a training method, checked for every entry of METHODS."""

import copy
import dataclasses
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from featurestore.encoders.encoder import Encoder
from featurestore.errors import ConfigError
from tests.trainers.small import AT, batch, config_of, make
from trainers.cli.training_commands import train
from trainers.config import recipes
from trainers.config.resolve import resolve
from trainers.export.torch_onnx import export
from trainers.export.training_run import make_card
from trainers.methods import METHODS, Method, Progress
from trainers.optimization.optimizers import make_optimizer
from trainers.training.collapse import CURES
from trainers.training.contenders import trained

MOVED_BESIDE_THE_TEACHER = {
    "dino": {"centre"},
    "ibot": {"centre"},
    "moco-v1": {"keys", "pointer"},
    "moco-v2": {"keys", "pointer"},
}
BRANCHES = {"dino": "teacher", "ibot": "teacher", "mae": "encoder", "jigsaw": "trunk"}  # the others: online


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


# -- loss and state


def test_a_loss_is_pure_and_finite_and_its_projections_are_detached(method: Method) -> None:
    before = {name: p.clone() for name, p in method.named_parameters()}
    step, again = (method.loss(batch(method), AT) for _ in range(2))
    assert torch.equal(step.loss, again.loss)
    assert all(torch.equal(before[name], p) for name, p in method.named_parameters())
    assert step.loss.shape == ()
    assert torch.isfinite(step.loss)
    assert (len(step.projections), step.projections.requires_grad) == (8, False)


def test_every_trainable_parameter_gets_a_gradient_and_the_teacher_none(method: Method) -> None:
    method.loss(batch(method), AT).loss.backward()  # type: ignore[no-untyped-call]
    without = [
        name for name, p in method.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())
    ]
    assert without == []
    assert all(p.grad is None for p in teacher_parameters(method).values())


def test_after_step_moves_the_teacher_and_the_buffers_and_nothing_else(name: str, method: Method) -> None:
    step = method.loss(batch(method), AT)
    with torch.no_grad():
        for parameter in method.parameters():
            if parameter.requires_grad:
                parameter.add_(1.0)  # now student and teacher differ everywhere
    before = {name: value.clone() for name, value in method.state_dict().items()}
    method.after_step(step.carry, AT)
    moved = {name for name, value in method.state_dict().items() if not torch.equal(before[name], value)}
    assert moved == set(teacher_parameters(method)) | MOVED_BESIDE_THE_TEACHER.get(name, set())


def test_a_saved_and_loaded_method_continues_as_if_never_stopped(name: str, method: Method) -> None:
    optimizer = make_optimizer(method, config_of("byol").optimizer)
    steps(method, optimizer, [1, 2, 3])
    saved = copy.deepcopy(method.state_dict()), copy.deepcopy(optimizer.state_dict())
    uninterrupted = steps(method, optimizer, [4, 5, 6])

    fresh = make(name, seed=99)
    fresh.load_state_dict(saved[0])
    optimizer = make_optimizer(fresh, config_of("byol").optimizer)
    optimizer.load_state_dict(saved[1])
    assert steps(fresh, optimizer, [4, 5, 6]) == uninterrupted


def test_no_layer_stands_at_two_places(method: Method) -> None:
    """A norm used twice would mix the statistics of both."""
    modules = [id(m) for _, m in method.named_modules(remove_duplicate=False)]
    assert len(modules) == len(set(modules))


# -- the network


def test_all_copies_of_the_backbone_start_equal(method: Method) -> None:
    first, *others = (network.state_dict() for network in method.backbones)
    for other in others:
        assert all(torch.equal(value, other[key]) for key, value in first.items())


def test_the_student_is_exported_except_by_dino_and_ibot(name: str, method: Method) -> None:
    trainable = all(p.requires_grad for p in method.export_backbone.parameters())
    assert trainable == (name not in ("dino", "ibot"))
    assert method.export_branch == BRANCHES.get(name, "online")


@pytest.mark.parametrize(  # the others export a conv4, whose export is tested for itself
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n != "mae")) for n in sorted(METHODS)], indirect=True
)
def test_the_backbone_of_every_method_passes_the_check_of_its_export(name: str, method: Method, tmp_path: Path) -> None:
    """In the state after a step, and in training mode."""
    steps(method, make_optimizer(method, config_of(name).optimizer), [1])
    card = make_card(config_of(name), trained(config_of(name), method, {"images": 12, "sha256": "ab"}))
    encoder = Encoder(export(method.export_backbone, card, tmp_path / "encoder.onnx"))
    assert (encoder.card.method, encoder.card.branch) == (name, method.export_branch)


# -- settings, recipe, help, cures

SHARE = ([-0.01, 1.01], [0.0, 1.0])
PART = ([0.0, 1.01], [0.01, 1.0])
LIMITS: dict[str, tuple[list[Any], list[Any]]] = {  # by name: values just out of range, and values just in it
    **dict.fromkeys(("momentum", "centre_momentum", "teacher_warmup", "weight", "koleo"), SHARE),
    **dict.fromkeys(("piece", "local_size"), PART),
    "local_min": ([0.0, 0.41], [0.01, 0.4]),  # local_max is 0.4
    "local_max": ([0.09, 1.01], [0.1, 1.0]),  # local_min is 0.1
    "gap": ([-0.01, 1.0], [0.0, 0.99]),
    "mask_min": ([0.0, 0.51], [0.01, 0.5]),  # mask_max is 0.5
    "mask_max": ([0.09, 1.01], [0.1, 1.0]),  # mask_min is 0.1
    "mask": ([0.0, 1.0], [0.01, 0.99]),
    "local_crops": ([-1], [0]),
    "frozen_epochs": ([-1], [0]),
    "decoder_dim": ([0, 130], [4]),  # a multiple of decoder_heads, which is 4
    "decoder_heads": ([0, 3], [1]),
}
COUNT = ([0], [1])
TEMPERATURE = ([0.0, 10.1, 100.0], [0.001, 10.0])


def test_every_number_of_a_methods_settings_has_a_range(name: str) -> None:
    for field in dataclasses.fields(METHODS[name].Settings):
        if isinstance(field.default, (bool, str)):
            continue
        usual = TEMPERATURE if "temperature" in field.name else COUNT
        wrong, right = LIMITS.get(field.name, usual)
        for value in right:
            assert getattr(resolve({"method": name, name: {field.name: value}}).settings, field.name) == value
        for value in wrong:
            with pytest.raises(ConfigError, match=rf"{name}\.\w+ = .*: expected"):
                resolve({"method": name, name: {field.name: value}})


@pytest.mark.parametrize("images", [2, 500, 30_000, 3_000_000])
@pytest.mark.parametrize("length", [{}, {"minutes": 3.0}])
def test_the_recipe_gives_a_valid_configuration_that_reads_back_as_itself(
    name: str, images: int, length: dict[str, Any]
) -> None:
    for size in ({}, {"image_size": 224}, {"view_size": 12}, {"backbone": "vit_tiny_patch16_224", "patch_size": 8}):
        for device in ("cpu", "cuda"):
            config = resolve({"method": name, **size, **length}, recipe=recipes.choose(images, device))
            again = resolve(tomllib.loads(config.to_toml()))
            assert (again, again.hash()) == (config, config.hash())


def test_help_cures_and_uniform_losses_are_there(name: str, method: Method) -> None:
    assert len(method.variants[name].help) > 20
    [option] = [option for option in train.params if option.name == "method"]
    assert name in re.findall(r"[\w-]+", getattr(option, "help", ""))
    assert set(method.cures) <= set(CURES)
    assert ("uniform" in method.cures) == (method.uniform_loss is not None) == (name in ("dino", "ibot", "jigsaw"))

"""Rates, decay, colours, stems and protocols."""

import dataclasses

import pytest
import timm
import torch
from torch import Tensor, nn

from featurestore.evaluation.knn import KnnReport, KnnResult
from tests.trainers.small import config_of, fails, make
from trainers.augmentations import pipeline as views
from trainers.config.resolve import resolve
from trainers.config.schema import Config
from trainers.methods import METHODS, Method
from trainers.models.backbones import make_backbone
from trainers.optimization.optimizers import make_optimizer
from trainers.training import monitor

ADAM_AT_MOST = 5e-3


def check_rate(config: Config) -> None:
    adam = config.optimizer.name == "adamw"
    assert config.optimizer.lr <= ADAM_AT_MOST if adam else config.optimizer.lr > ADAM_AT_MOST


@pytest.mark.parametrize("name", sorted(METHODS))
def test_mistake_10_a_learning_rate_of_sgd_or_lars_with_adam(name: str) -> None:
    """Also when only the optimiser is given: the rate that goes with it comes along, unless one is given too."""
    check_rate(resolve({"method": name}))
    for optimizer in ("sgd", "adamw", "lars"):
        check_rate(resolve({"method": name, "optimizer": {"name": optimizer}}))
    asked = resolve({"method": name, "optimizer": {"name": "adamw", "lr": 0.2}})
    assert asked.optimizer.lr == 0.2
    fails(check_rate, asked)


def check_groups(method: Method, optimizer: torch.optim.Optimizer) -> None:
    """With gradients of zero, decay alone moves weights: matrices and kernels shrink, biases and norms stay."""
    with torch.no_grad():
        for p in method.parameters():
            p.add_(1.0)
    before = {key: p.detach().clone() for key, p in method.named_parameters() if p.requires_grad}
    for p in method.parameters():
        p.grad = torch.zeros_like(p) if p.requires_grad else None
    optimizer.step()
    for key, p in method.named_parameters():
        if key in before:
            assert torch.equal(p, before[key]) == (p.ndim <= 1), key


@pytest.mark.parametrize("kind", ["sgd", "adamw", "lars"])
@pytest.mark.parametrize("name", ["byol", "dino", "mae", "moco-v3"])
def test_mistake_11_biases_and_norms_decay(name: str, kind: str) -> None:
    """LARS's rate on known numbers is in test_optim.py."""
    config = config_of(name, optimizer={"name": kind, "lr": 1.0, "weight_decay": 0.1})
    method = make(name)
    check_groups(method, make_optimizer(method, config.optimizer))
    method = make(name)
    everything = [p for p in method.parameters() if p.requires_grad]
    fails(check_groups, method, torch.optim.SGD(everything, 1.0, weight_decay=0.1))


def test_mistake_11_lars_momentum_with_the_rate_inside() -> None:
    """Ours is the popular kind: the rate multiplies the momentum; of the classic kind, a change of it would come late."""
    p = nn.Parameter(torch.tensor([1.0]))
    module = nn.Module()
    module.register_parameter("bias", p)
    optimizer = make_optimizer(
        module, config_of("byol", optimizer={"name": "lars", "lr": 1.0, "momentum": 0.5}).optimizer
    )
    steps = []
    for rate in (1.0, 0.1):
        for group in optimizer.param_groups:
            group["lr"] = rate
        before, p.grad = p.item(), torch.tensor([1.0])
        optimizer.step()
        steps.append(before - p.item())
    popular, classic = [1.0, 0.1 * 1.5], [1.0, 0.5 * 1.0 + 0.1]
    assert steps == pytest.approx(popular)
    assert steps != pytest.approx(classic)


COLOURS = {  # brightness, contrast, saturation, hue, probability of all of it, of grey
    "moco-v1": (0.4, 0.4, 0.4, 0.4, 1.0, 0.2),
    "moco-v2": (0.4, 0.4, 0.4, 0.1, 0.8, 0.2),
    "byol": (0.4, 0.4, 0.2, 0.1, 0.8, 0.2),
    "dino": (0.4, 0.4, 0.2, 0.1, 0.8, 0.2),
    "moco-v3": (0.4, 0.4, 0.2, 0.1, 0.8, 0.2),
    "simclr": (0.4, 0.4, 0.4, 0.1, 0.8, 0.2),  # strength 0.5 of (0.8, 0.8, 0.8, 0.2), as for CIFAR
}


def check_colours(name: str, config: Config) -> None:
    """The settings are the factors themselves, and the drawn factors fill exactly their range."""
    a = config.augment
    assert (a.brightness, a.contrast, a.saturation, a.hue, a.jitter, a.grey) == COLOURS[name]
    only = dataclasses.replace(a, contrast=0.0, saturation=0.0, hue=0.0, jitter=1.0, grey=0.0)
    factors = views.colour_matrices(
        torch.full((2000, 3, 1, 1), 0.5), only, views.Draws(views.draw(2000, torch.Generator().manual_seed(0)))
    )[:, 0, 0]
    assert factors.min().item() == pytest.approx(1 - COLOURS[name][0], abs=0.01)
    assert factors.max().item() == pytest.approx(1 + COLOURS[name][0], abs=0.01)


@pytest.mark.parametrize("name", COLOURS)
def test_mistake_16_a_strength_of_colour_jitter_means_something_else(name: str) -> None:
    config = resolve({"method": name})
    check_colours(name, config)
    halved = dataclasses.replace(config.augment, brightness=config.augment.brightness / 2)
    fails(check_colours, name, dataclasses.replace(config, augment=halved))
    other = dataclasses.replace(config.augment, hue=0.1 if name == "moco-v1" else 0.4)
    fails(check_colours, name, dataclasses.replace(config, augment=other))


def check_stem(backbone: nn.Module) -> None:
    """The first block sees small images at full size."""
    seen: list[Tensor] = []
    backbone.get_submodule("layer1").register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    backbone.eval()(torch.zeros(1, 3, 32, 32))
    assert seen[0].shape[2:] == (32, 32)


def test_mistake_17_small_images_go_through_the_stem_for_large_ones() -> None:
    check_stem(make_backbone("resnet10t", 32)[0])
    fails(check_stem, timm.create_model("resnet10t", num_classes=0))


def check_report_says_its_protocol(report: type, result: type) -> None:
    assert {"k", "temperature"} <= {f.name for f in dataclasses.fields(result)}
    assert {"n_train", "n_test", "split", "encoder", "seed"} <= {f.name for f in dataclasses.fields(report)}


def test_mistake_18_k_nn_figures_of_different_k_or_temperature_are_compared() -> None:
    """Nothing can stop a reader from comparing them; but every report says k and T, and the monitor's are the DINO paper's."""

    @dataclasses.dataclass
    class Bare:
        top1: float

    check_report_says_its_protocol(KnnReport, KnnResult)
    fails(check_report_says_its_protocol, KnnReport, Bare)
    assert (monitor.KNN_K, monitor.KNN_TEMPERATURE) == (20, 0.07)

"""One step: its parts, and the precision they run in."""

from itertools import combinations

import pytest
import torch
from torch import Tensor

from featurestore.errors import TrainingError
from tests.trainers.small import config_of
from trainers.augmentations import normalise
from trainers.methods import Progress
from trainers.training.devices import launch
from trainers.training.loop import loss_and_gradients, take_step
from trainers.training.setup import build
from trainers.training.step import TrainingStep

AT = Progress(step=3, epoch=0, fraction=0.5)


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("precision", "dtype"), [("bf16-mixed", torch.bfloat16), ("32-true", torch.float32)])
def test_the_network_runs_in_the_precision_asked_for(precision: str, dtype: torch.dtype, compiled: bool) -> None:
    config = config_of("simclr", batch_size=8, device="cpu", precision=precision, compile=compiled)
    step = TrainingStep(launch(config), build(config), config, batch_size=8)
    seen: list[torch.dtype] = []
    step.method.get_submodule("projection.0").register_forward_hook(lambda _, __, out: seen.append(out.dtype))
    batch: Tensor = torch.randint(0, 256, (8, 3, 8, 8), dtype=torch.uint8)
    output = loss_and_gradients(step, step.views(batch, AT), AT)
    assert seen == [dtype]
    assert output.losses[0].dtype == torch.float32


@pytest.mark.parametrize("most", [2**27, 8 * 3 * 16 * 16])
@pytest.mark.parametrize("name", ["simclr", "dino"])
def test_views_made_together_or_not_are_those_of_their_images_and_differ(
    name: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainers.training.step.TOGETHER", most)
    batch = torch.randint(0, 256, (8, 3, 16, 16), dtype=torch.uint8)
    nothing = {"crop_min": 1, "aspect": 1, "flip": 0, "jitter": 0, "grey": 0, "blur": [0, 0], "solarize": [0, 0]}
    made = {}
    for what, augment, least in (("nothing", nothing, 1), ("all", {}, 0.3)):
        local = {"local_crops": 3, "local_min": least, "local_max": 1, "local_size": 1.0}
        config = config_of(name, batch_size=8, augment=augment, **({"dino": local} if name == "dino" else {}))
        step = TrainingStep(launch(config), build(config), config, batch_size=8)
        made[what] = step.views(batch, AT)
        assert [view.shape for view in made[what]] == [(8, 3, spec.size, spec.size) for spec in step.method.views]
    for view in made["nothing"]:
        torch.testing.assert_close(view, normalise(batch / 255), atol=1e-4, rtol=0)
    for first, second in combinations(made["all"], 2):
        assert (first - second).flatten(1).abs().amax(dim=1).min() > 1e-3


def test_each_step_draws_views_of_its_own() -> None:
    config = config_of("simclr", batch_size=8, device="cpu")
    step = TrainingStep(launch(config), build(config), config, batch_size=8)
    batch = torch.randint(0, 256, (8, 3, 16, 16), dtype=torch.uint8)
    first, again, later = (step.views(batch, at)[0] for at in (AT, AT, AT._replace(step=AT.step + 1)))
    assert torch.equal(first, again)
    assert (first - later).flatten(1).abs().amax(dim=1).min() > 1e-3


@pytest.mark.parametrize(
    ("where", "named"),
    [
        (
            "trainers.training.step.augment",
            r"^not enough memory on this device for the views of 8 images; choose a smaller --batch-size$",
        ),
        (
            "trainers.methods.simclr.SimCLR.loss",
            r"^not enough memory .* a step with 4 images; .* --batch-size, or --accumulate 2 and more$",
        ),
        (
            "lightning_fabric.Fabric.backward",
            r"^not enough memory .* a step with 4 images; .* --batch-size, or --accumulate 2 and more$",
        ),
        (
            "torch.optim.SGD.step",
            r"^not enough memory .* a step with 4 images; .* --batch-size, or --accumulate 2 and more$",
        ),
    ],
)
@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
)
def test_what_does_not_fit_the_memory_is_named(
    where: str, named: str, error: RuntimeError, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise error

    config = config_of("simclr", batch_size=8, accumulate=2)
    step = TrainingStep(launch(config), build(config), config, batch_size=8)
    monkeypatch.setattr(where, full)
    with pytest.raises(TrainingError, match=named):
        take_step(step, torch.zeros(8, 3, 8, 8, dtype=torch.uint8), AT)


def test_other_errors_of_a_step_keep_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*_: object) -> None:
        raise RuntimeError("shapes differ")

    config = config_of("simclr", batch_size=8)
    step = TrainingStep(launch(config), build(config), config, batch_size=8)
    monkeypatch.setattr("trainers.methods.simclr.SimCLR.loss", wrong)
    with pytest.raises(RuntimeError, match="shapes differ"):
        take_step(step, torch.zeros(8, 3, 8, 8, dtype=torch.uint8), AT)


def test_a_network_that_does_not_fit_the_memory_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    config = config_of("simclr", batch_size=8)
    fabric, method = launch(config), build(config)
    monkeypatch.setattr(type(method), "to", full)
    with pytest.raises(
        TrainingError, match=r"^not enough memory .* the network; choose a smaller --backbone or --image-size$"
    ):
        TrainingStep(fabric, method, config, batch_size=8)


def test_a_compilation_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class InductorError(RuntimeError):
        __module__ = "torch._inductor.exc"  # which takes seconds to import

    def compiling(*_: object) -> None:
        raise InductorError("InvalidCxxCompiler: No working C++ compiler found\n\nSet TORCHDYNAMO_VERBOSE=1")

    config = config_of("simclr", batch_size=8)
    step = TrainingStep(launch(config), build(config), config, batch_size=8)
    monkeypatch.setattr("trainers.methods.simclr.SimCLR.loss", compiling)
    with pytest.raises(TrainingError, match=r"^--compile: .*No working C\+\+ compiler found; leave it out"):
        take_step(step, torch.zeros(8, 3, 8, 8, dtype=torch.uint8), AT)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_networks_lie_channels_last_and_optimisers_are_fused(optimizer: str) -> None:
    config = config_of("byol", batch_size=8, optimizer={"name": optimizer})
    step = TrainingStep(launch(config), build(config), config, batch_size=8)
    kernels = [weight for weight in step.method.parameters() if weight.ndim == 4]
    assert kernels
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in kernels)
    assert step.optimizer.defaults["fused"]

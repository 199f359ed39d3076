"""One step: its parts, and the precision they run in."""

from itertools import combinations
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from torch import Tensor
from torch.amp import GradScaler

from featurestore.errors import TrainingError
from tests.trainers.small import config_of
from trainers.augmentations import normalise
from trainers.methods import Progress
from trainers.training.devices import launch
from trainers.training.loop import loss_and_gradients, take_step
from trainers.training.setup import build
from trainers.training.step import TrainingStep

AT = Progress(step=3, epoch=0, fraction=0.5)


def step_of(name: str, **settings: Any) -> TrainingStep:
    config = config_of(name, backbone="conv4", batch_size=8, **settings)
    return TrainingStep(launch(config), build(config), config, batch_size=8)


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("precision", "dtype"), [("bf16-mixed", torch.bfloat16), ("32-true", torch.float32)])
def test_the_network_runs_in_the_precision_asked_for(precision: str, dtype: torch.dtype, compiled: bool) -> None:
    step = step_of("simclr", precision=precision, compile=compiled)
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
        step = step_of(name, augment=augment, **({"dino": local} if name == "dino" else {}))
        made[what] = step.views(batch, AT)
        assert [view.shape for view in made[what]] == [(8, 3, spec.size, spec.size) for spec in step.method.views]
    for view in made["nothing"]:
        torch.testing.assert_close(view, normalise(batch / 255), atol=1e-4, rtol=0)
    for first, second in combinations(made["all"], 2):
        assert (first - second).flatten(1).abs().amax(dim=1).min() > 1e-3


def test_each_step_draws_views_of_its_own() -> None:
    step, batch = step_of("simclr"), torch.randint(0, 256, (8, 3, 16, 16), dtype=torch.uint8)
    first, again, later = (step.views(batch, at)[0] for at in (AT, AT, AT._replace(step=AT.step + 1)))
    assert torch.equal(first, again)
    assert (first - later).flatten(1).abs().amax(dim=1).min() > 1e-3


FULL = torch.OutOfMemoryError("CUDA out of memory")
VIEWS = r"^not enough memory on this device for the views of 8 images; choose a smaller --batch-size$"
NETWORK = r"^not enough memory .* a step with 4 images; .* --batch-size, or --accumulate 2 and more$"


class InductorError(RuntimeError):
    """As the compiler's own, which takes seconds to import."""

    __module__ = "torch._inductor.exc"


@pytest.mark.parametrize(
    ("where", "error", "expected", "words"),
    [
        ("trainers.training.step.augment", FULL, TrainingError, VIEWS),
        ("trainers.methods.simclr.SimCLR.loss", FULL, TrainingError, NETWORK),
        ("lightning_fabric.Fabric.backward", FULL, TrainingError, NETWORK),
        ("torch.optim.SGD.step", FULL, TrainingError, NETWORK),
        (
            "trainers.methods.simclr.SimCLR.loss",
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
            TrainingError,
            NETWORK,
        ),
        (
            "trainers.methods.simclr.SimCLR.loss",
            InductorError("InvalidCxxCompiler: No working C++ compiler found\n\nSet TORCHDYNAMO_VERBOSE=1"),
            TrainingError,
            r"^--compile: .*No working C\+\+ compiler found; leave it out",
        ),
        ("trainers.methods.simclr.SimCLR.loss", RuntimeError("shapes differ"), RuntimeError, "^shapes differ$"),
    ],
)
def test_what_fails_in_a_step_is_named_and_other_errors_keep_their_names(
    where: str, error: RuntimeError, expected: type[Exception], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise error

    step = step_of("simclr", accumulate=2)
    monkeypatch.setattr(where, failing)
    with pytest.raises(expected, match=words):
        take_step(step, torch.zeros(8, 3, 8, 8, dtype=torch.uint8), AT)


def test_a_network_that_does_not_fit_the_memory_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise FULL

    monkeypatch.setattr("trainers.methods.simclr.SimCLR.to", full)
    with pytest.raises(
        TrainingError, match=r"^not enough .* the network; choose a smaller --backbone or --image-size$"
    ):
        step_of("simclr")


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_networks_lie_channels_last_and_optimisers_are_fused(optimizer: str) -> None:
    step = step_of("byol", optimizer={"name": optimizer})
    kernels = [weight for weight in step.method.parameters() if weight.ndim == 4]
    assert kernels
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in kernels)
    assert step.optimizer.defaults["fused"]


# -- float16, whose gradients are scaled; with torch's scaler for processors, since Fabric has float16 for GPUs alone


def in_float16(**settings: Any) -> TrainingStep:
    config = config_of("simclr", backbone="conv4", batch_size=8, **settings)
    fabric = Fabric(accelerator="cpu", devices=1, plugins=MixedPrecision("16-mixed", "cpu", GradScaler("cpu", 2.0**10)))
    fabric.launch()
    torch.manual_seed(0)
    return TrainingStep(fabric, build(config), config, batch_size=8)


def scaler_of(step: TrainingStep) -> GradScaler:
    precision = step.fabric.strategy.precision
    assert isinstance(precision, MixedPrecision)
    assert precision.scaler is not None
    return precision.scaler


def changes(step: TrainingStep) -> list[Tensor]:
    """Take a step, and give by how much each weight of the student has changed."""
    before = [p.detach().clone() for p in step.method.parameters() if p.requires_grad]
    batch = torch.randint(0, 256, (8, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    take_step(step, batch, AT)
    after = [p.detach() for p in step.method.parameters() if p.requires_grad]
    return [b - a for a, b in zip(before, after, strict=True)]


@pytest.mark.parametrize("optimizer", ["sgd", "lars"])  # adamw takes the sign of each gradient, however small
@pytest.mark.parametrize("clip", [0.0, 0.01])
def test_a_step_in_float16_is_that_in_float32_clipped_or_not(optimizer: str, clip: float) -> None:
    """A gradient that is clipped before it is divided by its scale would be thousands of times too small."""
    rate = {"name": optimizer, "lr": 10.0, "weight_decay": 0.0, "clip": clip, "warmup": 0.0}
    torch.manual_seed(0)
    exact = changes(step_of("simclr", optimizer=rate))
    noise = 0.05 * max(change.norm().item() for change in exact)  # such as the gradient of a bias before a norm
    for change, expected in zip(changes(in_float16(optimizer=rate)), exact, strict=True):
        assert (change - expected).norm() < 0.1 * expected.norm() + noise


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "lars"])
@pytest.mark.parametrize("clip", [0.0, 3.0])
def test_a_step_whose_gradients_are_infinite_is_left_out_and_the_scale_is_halved(optimizer: str, clip: float) -> None:
    step = in_float16(optimizer={"name": optimizer, "clip": clip})
    changes(step)
    scaler = scaler_of(step)
    scaler.update(2.0**100)
    assert not any(change.any() for change in changes(step))
    assert scaler.get_scale() == 2.0**99


def test_the_scale_is_part_of_a_checkpoint() -> None:
    step = in_float16()
    changes(step)
    scaler_of(step).update(2.0**12)
    state = {
        "method": step.method.state_dict(),
        "optimizer": step.optimizer.state_dict(),
        "scaler": step.fabric.strategy.precision.state_dict(),
    }
    again = in_float16()
    resumed = TrainingStep(again.fabric, build(again.config), again.config, 8, state)
    assert scaler_of(resumed).get_scale() == 2.0**12
    for precision in ("32-true", "bf16-mixed"):  # goes on without the scale
        config = config_of("simclr", backbone="conv4", batch_size=8, precision=precision)
        TrainingStep(launch(config), build(config), config, 8, state)
    del state["scaler"]["_growth_tracker"]
    with pytest.raises(TrainingError, match="state of the optimizer in the checkpoint does not fit"):
        TrainingStep(again.fabric, build(again.config), again.config, 8, state)

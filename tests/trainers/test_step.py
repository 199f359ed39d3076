"""One step: its parts, and the precision they run in."""

import pytest
import torch
from torch import Tensor

from tests.trainers.small import config_of
from trainers.building import build
from trainers.devices import launch
from trainers.methods import Progress
from trainers.step import TrainingStep

AT = Progress(step=3, epoch=0, fraction=0.5)


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("precision", "dtype"), [("bf16-mixed", torch.bfloat16), ("32-true", torch.float32)])
def test_the_network_runs_in_the_precision_asked_for(precision: str, dtype: torch.dtype, compiled: bool) -> None:
    config = config_of("simclr", batch_size=8, device="cpu", precision=precision, compile=compiled)
    step = TrainingStep(launch(config), build(config), config, batch_size=8)
    seen: list[torch.dtype] = []
    step.method.get_submodule("projection.0").register_forward_hook(lambda _, __, out: seen.append(out.dtype))
    batch: Tensor = torch.randint(0, 256, (8, 3, 8, 8), dtype=torch.uint8)
    output = step.forward_backward(step.views(batch, AT), AT)
    assert seen == [dtype]
    assert output.losses[0].dtype == torch.float32

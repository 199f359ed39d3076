"""Nothing in a step makes the processor wait for the device: no number is read back, no small tensor is moved there.

A device that holds no numbers stands for a GPU: what would be read from it fails, and what crosses over is noticed.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tests.trainers.small import AT, config_of
from trainers.augmentations import normalise, transform
from trainers.augmentations.draws import DRAWS, Draws
from trainers.methods import METHODS
from trainers.optimization.optimizers import clip_each
from trainers.training.setup import build

COPIES = ("aten::_to_copy", "aten::copy_")


class Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes operations between devices; scalars () that a processor passes with an operation do not count."""

    def __init__(self, names: list[str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names = names

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves((args, kwargs, out)) if isinstance(leaf, Tensor)]
        name = func.name()
        if len({tensor.device for tensor in tensors if tensor.ndim or name.startswith(COPIES)}) > 1:
            self.names.append(name)
        return out


class Lists(TorchFunctionMode):
    """Notes lists of numbers that become a tensor on the device."""

    def __init__(self, names: list[str]) -> None:
        super().__init__()
        self.names = names

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if func in (torch.tensor, torch.as_tensor) and out.device.type != "cpu":
            self.names.append(func.__name__)
        return out


@contextmanager
def crossings() -> Iterator[list[str]]:
    """The names of what crosses between devices in the block."""
    names: list[str] = []
    with Operations(names), Lists(names):
        yield names


@contextmanager
def device(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The device, where torch knows neither generators nor autocast."""
    generator, autocast = torch.Generator, torch.autocast
    with monkeypatch.context() as patch:
        patch.setattr(torch, "Generator", lambda device="cpu": generator())
        patch.setattr(torch, "autocast", lambda device_type, **how: autocast("cpu", **how))
        yield "meta"


@pytest.mark.parametrize("name", sorted({method: name for name, method in METHODS.items()}.values()))
def test_a_step_neither_reads_from_the_device_nor_moves_to_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = {"backbone": "test_vit", "patch_size": 8} if METHODS[name].needs_vit else {"backbone": "conv4"}
    method = build(config_of(name, **network, image_size=32))
    with device(monkeypatch) as meta:
        method.to(meta)
        images = torch.empty(8, 3, 32, 32, dtype=torch.uint8, device=meta)
        drawn = torch.empty(DRAWS, 8, device=meta)
        constants = normalise(transform(images, method.views[0], Draws(drawn)))  # are moved once and kept
        assert constants.device.type == meta
        with crossings() as names:
            specs = [replace(spec, blur=0.5, solarize=0.5) for spec in method.views]
            views = [normalise(transform(images, spec, Draws(drawn))) for spec in specs]
            step = method.loss(views, AT)
            torch.autograd.backward(step.loss)
            clip_each(method.parameters(), 3.0)
            method.after_step(step.carry, AT)
    assert names == []

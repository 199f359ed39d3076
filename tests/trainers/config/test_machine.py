"""What a machine offers decides what was left open."""

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from featurestore.errors import ConfigError
from tests.trainers.small import config_of
from trainers.config.machine import memory_of, on_this_machine


@pytest.mark.parametrize(("native", "precision"), [(True, "bf16-mixed"), (False, "32-true")])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_bfloat16_is_taken_only_where_the_hardware_has_it(
    device: str, native: bool, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def has(including_emulation: bool = True) -> bool:
        return native or including_emulation

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", has)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: native)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (6, 1))
    left_open: dict[str, Any] = {"device": device, "precision": "auto"}
    assert on_this_machine(config_of("simclr", **left_open)).precision == precision
    assert on_this_machine(config_of("simclr", device=device, precision="bf16-mixed")).precision == "bf16-mixed"


@pytest.mark.parametrize(
    ("backbone", "precision"),
    [("conv4", "bf16-mixed"), ("resnet18", "bf16-mixed"), ("tf_efficientnet_lite0", "32-true")],
)
def test_depthwise_convolutions_are_computed_in_float32_on_a_processor(
    backbone: str, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)
    config = config_of("simclr", backbone=backbone, precision="auto")
    assert on_this_machine(dataclasses.replace(config, device="cpu")).precision == precision
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert on_this_machine(dataclasses.replace(config, device="cuda")).precision == "bf16-mixed"


@pytest.mark.parametrize(
    ("capability", "bfloat16", "precision"),
    [
        ((6, 1), False, "32-true"),  # Pascal: slower in float16
        ((7, 0), False, "16-mixed"),  # Volta
        ((7, 5), False, "16-mixed"),  # Turing
        ((8, 0), True, "bf16-mixed"),  # Ampere
        ((8, 0), False, "32-true"),  # does not occur
        ((9, 0), True, "bf16-mixed"),
    ],
)
def test_float16_is_taken_on_gpus_that_are_fast_at_that_alone(
    capability: tuple[int, int], bfloat16: bool, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: bfloat16)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    left_open: dict[str, Any] = {"device": "cuda", "precision": "auto"}
    assert on_this_machine(config_of("simclr", **left_open)).precision == precision
    assert on_this_machine(config_of("simclr", device="cuda", precision="16-mixed")).precision == "16-mixed"


def test_the_memory_of_a_gpu_is_known_and_that_of_a_processor_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: SimpleNamespace(total_memory=100 + index))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert (memory_of("cuda"), memory_of("cpu"), memory_of("mps")) == (100, 0, 0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert memory_of("cuda") == 0  # refused later, by name


def test_float16_is_refused_where_there_is_no_gpu() -> None:
    """Fabric would take bfloat16 instead."""
    with pytest.raises(ConfigError, match=r"'16-mixed': expected device 'cuda', found 'cpu'; choose --precision auto"):
        on_this_machine(config_of("simclr", device="cpu", precision="16-mixed"))

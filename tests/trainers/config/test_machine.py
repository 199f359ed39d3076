"""What a machine offers decides what was left open."""

from typing import Any

import pytest
import torch

from tests.trainers.small import config_of
from trainers.config.machine import on_this_machine


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
    left_open: dict[str, Any] = {"device": device, "precision": "auto"}
    assert on_this_machine(config_of("simclr", **left_open)).precision == precision
    assert on_this_machine(config_of("simclr", device=device, precision="bf16-mixed")).precision == "bf16-mixed"

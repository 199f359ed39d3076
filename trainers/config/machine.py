"""Settings that depend on the machine: device and precision."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import torch

from featurestore.errors import ConfigError
from featurestore.system.cpus import available_cpus
from trainers.config.schema import Config, Device, Precision
from trainers.models.backbones import has_depthwise


def find_device(device: Device) -> Device:
    """Give the device that "auto" stands for on this machine; any other stands for itself."""
    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"


def memory_of(device: Device) -> int:
    """Give the bytes of memory of a GPU, of which all are alike; 0 for other devices, which share that of the system."""
    return torch.cuda.get_device_properties(0).total_memory if device == "cuda" and torch.cuda.is_available() else 0


def on_this_machine(config: Config) -> Config:
    """Replace "auto" as device and precision by what this machine has. Raises ConfigError for a device that it does not have."""
    device = find_device(config.device)
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if not available[device]:
        raise ConfigError(
            f"device {device!r} is not there on this machine; expected one of {', '.join(d for d, ok in available.items() if ok)}"
        )
    gpus = torch.cuda.device_count()
    if device == "cuda" and config.devices > gpus:
        raise ConfigError(f"--devices {config.devices}: expected at most {gpus}, the number of GPUs here")
    if device == "cpu" and config.devices > available_cpus():
        raise ConfigError(
            f"--devices {config.devices}: expected at most {available_cpus()}, the number of processors here"
        )
    precision = config.precision if config.precision != "auto" else _fastest_precision(device, config.backbone)
    if precision == "16-mixed" and device != "cuda":
        raise ConfigError(
            f"precision '16-mixed': expected device 'cuda', found {device!r}; choose --precision auto, which takes what the device is fast at"
        )
    return dataclasses.replace(config, device=device, precision=precision)


def on_several(given: Mapping[str, Any]) -> bool:
    """Whether a training with these settings runs in several processes."""
    return given.get("devices", 1) != 1 or "LOCAL_WORLD_SIZE" in os.environ


def describe_load() -> str | None:
    """Say that the machine has more work than processors; None where it has not, or where the system does not tell."""
    try:
        load = os.getloadavg()[0]
    except (AttributeError, OSError):  # Windows has none
        return None
    cpus = available_cpus()
    return f"the machine is busy (load {load:.1f} on {cpus} processors)" if load > cpus else None


def _fastest_precision(device: Device, backbone: str) -> Precision:
    """Choose bfloat16 where the hardware has it, float16 on GPUs that are fast at that alone (Volta, Turing), else float32.

    bfloat16 goes first: it has the range of float32, so that no gradient is lost or infinite. On processors, depthwise convolutions are slower
    in it: benchmarks/results/training.md, "Depthwise convolutions".
    """
    if _has_bfloat16(device) and not (device == "cpu" and has_depthwise(backbone)):
        return "bf16-mixed"
    if device == "cuda" and (7, 0) <= torch.cuda.get_device_capability() < (8, 0):
        return "16-mixed"
    return "32-true"


def _has_bfloat16(device: Device) -> bool:
    """Whether the hardware computes in bfloat16; emulated, it is slower than float32."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device == "cpu" and torch.cpu._is_avx512_bf16_supported()

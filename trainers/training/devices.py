"""Devices, precision and processes: what a machine offers, and Lightning Fabric on it."""

import dataclasses
import logging
import os
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy

from featurestore.errors import ConfigError
from trainers.config.schema import Config, Device
from trainers.runtime import memory


def found(device: Device) -> Device:
    """The device that "auto" stands for on this machine; any other stands for itself."""
    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"


def settle(config: Config) -> Config:
    """Decide what depends on the machine, so that the saved configuration says what was done."""
    device = found(config.device)
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if not available[device]:
        raise ConfigError(
            f"device {device!r} is not there on this machine; expected one of {', '.join(d for d, ok in available.items() if ok)}"
        )
    there = torch.cuda.device_count()
    if device == "cuda" and config.devices > there:
        raise ConfigError(f"--devices {config.devices}: expected at most {there}, the number of GPUs here")
    precision = config.precision
    if precision == "auto":
        precision = "bf16-mixed" if _has_bfloat16(device) else "32-true"
    return dataclasses.replace(config, device=device, precision=precision)


def _has_bfloat16(device: Device) -> bool:
    """Whether a device computes in bfloat16 by itself; emulated, it is slower than float32."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device == "cpu" and torch.cpu._is_avx512_bf16_supported()


def launch(config: Config) -> Fabric:
    """Start Fabric on the devices of a settled configuration; under torchrun, on those it gives."""
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    torch.backends.cudnn.benchmark = (
        True  # every step has the same shapes: the fastest convolution is worth looking for
    )
    if config.device == "cpu":
        memory.keep_freed()
    devices = int(os.environ.get("LOCAL_WORLD_SIZE", config.devices))
    nodes = int(os.environ.get("WORLD_SIZE", devices)) // devices if "LOCAL_WORLD_SIZE" in os.environ else 1
    # DINO's last layer has no gradient in its first epoch, which DistributedDataParallel must be told.
    strategy = DDPStrategy(find_unused_parameters=True) if devices * nodes > 1 else "auto"
    precision: Any = config.precision  # settled, never "auto"
    fabric = Fabric(accelerator=config.device, devices=devices, num_nodes=nodes, strategy=strategy, precision=precision)
    fabric.launch()
    return fabric

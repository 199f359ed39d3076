"""Devices, precision and processes: Lightning Fabric, started."""

import logging
import os
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy

from featurestore.system.interrupts import end_at_once
from trainers.config.schema import Config
from trainers.runtime import memory


def launch(config: Config) -> Fabric:
    """Start Fabric on the devices of a settled configuration; under torchrun, on the devices that it assigns."""
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    # Every step has the same shapes, so the search for the fastest convolution pays.
    torch.backends.cudnn.benchmark = True
    if config.device == "cpu":
        memory.keep_freed()
    devices = int(os.environ.get("LOCAL_WORLD_SIZE", config.devices))
    nodes = int(os.environ.get("WORLD_SIZE", devices)) // devices if "LOCAL_WORLD_SIZE" in os.environ else 1
    # DINO's last layer has no gradient in its first epoch, which DistributedDataParallel has to expect.
    strategy = DDPStrategy(find_unused_parameters=True) if devices * nodes > 1 else "auto"
    precision: Any = config.precision  # settled, never "auto"
    fabric = Fabric(accelerator=config.device, devices=devices, num_nodes=nodes, strategy=strategy, precision=precision)
    fabric.launch()
    if fabric.world_size > 1:
        end_at_once()  # a process that saves would wait forever for another that was ended
    return fabric


def unscale_gradients(fabric: Fabric, optimizer: torch.optim.Optimizer) -> None:
    """Divide the gradients by the scale that float16 needs, before their size matters; once a step. Other precisions have no scale.

    Fabric's own function refuses fused optimisers, which torch's scaler takes. optimizer: as it was before Fabric wrapped it.
    """
    scaler = getattr(fabric.strategy.precision, "scaler", None)
    if scaler is not None:
        scaler.unscale_(optimizer)

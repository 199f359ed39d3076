"""What a measurement ran on: the processor or the GPU, and the versions of packages."""

import platform
from importlib.metadata import version
from pathlib import Path

import torch


def processor() -> str:
    """The name of the processor."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def device_name(device: str) -> str:
    """The name of a device that torch knows by `device`."""
    return torch.cuda.get_device_name(device) if device == "cuda" else processor()


def versions(*packages: str) -> str:
    """The versions of Python and of packages, on one line."""
    return ", ".join([f"Python {platform.python_version()}", *(f"{name} {version(name)}" for name in packages)])

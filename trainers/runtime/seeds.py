"""Randomness: every draw of a step comes from a seed, so that nothing about it needs to be saved."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def mix(*numbers: int) -> int:
    """Mix numbers into one seed, so that neighbouring seeds and steps share nothing."""
    return int.from_bytes(hashlib.sha256(repr(numbers).encode()).digest()[:7], "little")


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Draw from `seed` inside, in modules that know only torch's global generator; its state is put back."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield

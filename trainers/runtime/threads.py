"""How many threads a training on a processor takes."""

import functools
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch
import torch.nn.functional as F

SECONDS = 0.4  # that each number of threads is timed for
GAIN = (
    2.0  # how many times as fast fewer threads must be: a large network gains more from threads than what is timed here
)

P = ParamSpec("P")
R = TypeVar("R")


def restores_threads(function: Callable[P, R]) -> Callable[P, R]:
    """Let a function choose the number of threads for itself alone: afterwards its caller has as many as before."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        before = torch.get_num_threads()
        try:
            return function(*args, **kwargs)
        finally:
            torch.set_num_threads(before)

    return run


def fit_threads() -> str | None:
    """Take fewer threads where that is faster, and say so: on a processor that is busy with something else, threads wait for each other.

    With two threads beside two busy programs on two processors, conv4 saw 77 images a second, with one thread 1,890. Nothing for one thread.
    """
    most = torch.get_num_threads()
    counts = sorted({most, max(1, most // 2), 1}, reverse=True)
    if len(counts) == 1:
        return None
    speeds = {count: _speed(count) for count in counts}
    best = max(counts, key=lambda count: speeds[count])
    chosen = best if speeds[best] > GAIN * speeds[most] else most
    torch.set_num_threads(chosen)
    if chosen == most:
        return None
    times = speeds[chosen] / speeds[most]
    return f"{chosen} of {most} threads are {times:.1f} times as fast as all, probably because other programs are running: takes {chosen}"


def _speed(threads: int) -> float:
    """Time convolutions forward and back, as in a small network: passes a second."""
    torch.set_num_threads(threads)
    x, kernel = torch.ones(32, 32, 16, 16), torch.ones(32, 32, 3, 3, requires_grad=True)
    began, passes = time.perf_counter(), 0
    while (spent := time.perf_counter() - began) < SECONDS or passes < 2:
        torch.autograd.grad(F.relu(F.conv2d(x, kernel, padding=1)).sum(), kernel)
        passes += 1
    return passes / spent

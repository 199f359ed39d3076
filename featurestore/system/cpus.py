"""The number of processors to use, for threads that decode and for threads that encode."""

import os


def available_cpus() -> int:
    """Count the processors that this process may use: its affinity mask, which can be smaller than the machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

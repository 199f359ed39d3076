"""How many processors there are to use: one count for the threads that decode and for those that encode."""

import os


def available_cpus() -> int:
    """Count the processors this process may use (the affinity mask, not the machine)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

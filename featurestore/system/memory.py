"""Memory: what there is, what this process has, and a limit to what it may take."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def total_bytes() -> int:
    """The memory of this machine, or of the container that this process runs in."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.is_file() else ""
    return min(machine, int(text)) if text.isdecimal() else machine


def resident_bytes() -> int:
    """The memory that this process has now; where the system does not tell, the most that it has had."""
    pages = Path("/proc/self/statm")
    if pages.exists():
        return int(pages.read_text().split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@contextmanager
def memory_limit(more: int) -> Iterator[None]:
    """Let the process take at most `more` bytes of address space beyond what it has, for the length of the block.

    It holds for all threads, so only a command may use it. Where the system does not tell what a process has, there is no limit.
    """
    pages = Path("/proc/self/statm")
    before = resource.getrlimit(resource.RLIMIT_AS)
    if pages.exists():
        limit = int(pages.read_text().split()[0]) * resource.getpagesize() + more
        resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)

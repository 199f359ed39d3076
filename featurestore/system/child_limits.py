"""What a child process may take of the system."""

import os
import resource
import time
from dataclasses import dataclass
from math import ceil
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Limits:
    """memory: bytes beyond what the process has once its module is loaded. cpu_seconds: of all threads together, for one message.

    file_bytes: the size of a file that it writes. open_files: the number of files that it has open, sockets included.
    idle_seconds: how long it waits for a message before it ends; None: for ever.
    """

    memory: int
    cpu_seconds: float
    file_bytes: int = 0
    open_files: int = 64
    idle_seconds: float | None = None


def limit_files(limits: Limits) -> None:
    """Limit the files that this process writes and opens, and let it leave no core dump."""
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, limits.file_bytes)
    _lower(resource.RLIMIT_NOFILE, limits.open_files)


def limit_memory(limits: Limits) -> None:
    """Limit the memory of this process: its data, which unlike its address space counts nothing that is only reserved.

    Where the system does not tell what a process has, there is no limit.
    """
    pages = Path("/proc/self/statm")
    if pages.exists():
        data = int(pages.read_text().split()[5]) * resource.getpagesize()
        _lower(resource.RLIMIT_DATA, data + limits.memory)


def limit_cpu(seconds: float) -> None:
    """Let this process use the processor for so long from now on. The system counts whole seconds."""
    soft = ceil(time.process_time() + seconds)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def allow_no_more_files() -> None:
    """Let this process open no further file until `allow_files`: a new file gets the lowest free number, and that is now too high."""
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))


def allow_files() -> None:
    """Let this process open files again, as many as its limits say."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _lower(kind: int, value: int) -> None:
    """Set a limit for good; one that is lower already stays."""
    hard = resource.getrlimit(kind)[1]
    limit = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (limit, limit))

"""Freed memory stays with the process: a tensor made anew costs no page faults."""

import ctypes
import platform
import resource
import subprocess
import sys

import pytest

from trainers.runtime import memory

# Of some of the small sizes, in MB, a small block on top keeps the C library from giving back anything.
FAULTS = """
import os, resource, torch
from trainers.runtime import memory
def faults(*sizes):
    total = 0
    for megabytes in sizes:
        for _ in range(2):  # at first the memory comes from the system
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            [torch.ones(megabytes << 18) for _ in range(8)]
        total += resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    return total
if os.fork() == 0:
    print(faults(12, 18, 22, 26), flush=True)
    os._exit(0)
os.wait()
memory.keep_freed()  # in a process whose C library has not yet changed its thresholds by itself
print(faults(48), faults(12, 18, 22, 26))
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="for glibc alone")
def test_tensors_made_again_cost_no_page_faults_and_large_ones_leave_no_holes() -> None:
    ended = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    given_back, large, small = map(int, ended.stdout.split())
    assert 4 * small < given_back
    assert large > 0.9 * 8 * (48 << 20) // resource.getpagesize()


def test_another_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(ctypes, "CDLL", lambda name: pytest.fail("not glibc"))
    memory.keep_freed()

"""Freed memory stays with the process: a tensor made anew costs no page faults."""

import ctypes
import platform
import resource
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys, torch
from trainers.runtime import memory
if sys.argv[1] == "keep":
    memory.keep_freed()
def faults(megabytes):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(2):
        [torch.ones(megabytes << 18) for _ in range(8)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
for sizes in sys.argv[2:]:
    total = 0
    for megabytes in map(int, sizes.split()):
        faults(megabytes)  # where the memory comes from the system first
        total += faults(megabytes)
    print(total)
"""
# Of some of these sizes a small block on top keeps the C library from giving back anything.
SMALL, LARGE = "12 14 16 18 20 22 24 26 28", "48"  # MB


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="for glibc alone")
def test_tensors_made_again_cost_no_page_faults_and_large_ones_leave_no_holes() -> None:
    pages = 2 * 8 * (48 << 20) // resource.getpagesize()
    large, small = faults("keep", LARGE, SMALL)
    assert 4 * small < faults("give back", SMALL)[0]
    assert large > 0.9 * pages


def faults(how: str, *sizes: str) -> list[int]:
    command = [sys.executable, "-c", FAULTS, how, *sizes]
    return [int(line) for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()]


def test_another_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from trainers.runtime import memory

    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(ctypes, "CDLL", lambda name: pytest.fail("not glibc"))
    memory.keep_freed()

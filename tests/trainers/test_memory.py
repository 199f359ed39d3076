"""Freed memory stays with the process: a tensor made anew costs no page faults."""

import ctypes
import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys, torch
from trainers import memory
if sys.argv[1] == "keep":
    memory.keep_freed()
def faults(size):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(2):
        [torch.ones(size) for _ in range(8)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
# Of some sizes, 12 to 28 MB, a small block on top keeps the C library from giving back anything.
total = 0
for megabytes in range(12, 30, 2):
    faults(megabytes << 18)  # where the memory comes from the system first
    total += faults(megabytes << 18)
print(total)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="speaks to glibc")
def test_tensors_made_again_cost_no_page_faults() -> None:
    def faults(how: str) -> int:
        done = subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert 4 * faults("keep") < faults("give back")


def test_another_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from trainers import memory

    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(ctypes, "CDLL", lambda name: pytest.fail("not glibc"))
    memory.keep_freed()

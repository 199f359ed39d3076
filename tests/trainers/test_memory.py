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
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        [torch.ones(4 << 20) for _ in range(8)]  # 16 MB each
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
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

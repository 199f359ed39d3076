"""The memory of a process that trains on its processor."""

import ctypes
import platform

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # malloc.h
NEVER = 2**31 - 1


def keep_freed() -> None:
    """Let the C library keep the memory of freed tensors for the next ones; does nothing where that is not glibc.

    glibc gives large blocks back to the system at once and gets them anew, page by page, in each step: a quarter to a
    third of the time of a small network. What is kept goes back when the process ends.
    """
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_TRIM_THRESHOLD, NEVER)
        mallopt(M_MMAP_MAX, 0)

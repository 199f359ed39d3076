"""The memory of a process that trains on its processor."""

import ctypes
import platform

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
NEVER = 2**31 - 1
LARGEST = 32 << 20  # bytes; a larger threshold not every version of glibc takes


def keep_freed() -> None:
    """Let the C library keep the memory of freed tensors below 32 MiB for the next ones; does nothing where that is not glibc.

    glibc gives large blocks back to the system at once and gets them anew, page by page, in each step: a quarter to a
    third of the time of a small network. Larger ones still go back at once: kept, they made holes that cost a tenth of
    the memory and gained nothing. What is kept goes back when the process ends.
    """
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_TRIM_THRESHOLD, NEVER)
        mallopt(M_MMAP_THRESHOLD, LARGEST)

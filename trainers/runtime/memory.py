"""The memory of a process that trains on its processor."""

import ctypes
import platform

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
NEVER = 2**31 - 1
LARGEST = 32 << 20  # bytes; some versions of glibc refuse a larger threshold


def keep_freed() -> None:
    """Let the C library reuse the memory of freed tensors below 32 MiB; does nothing where it is not glibc.

    By default glibc returns large blocks to the system at once and requests them again, page by page, in each step: a quarter
    to a third of the time of a small network. Larger tensors are still returned at once: reusing them fragmented the heap,
    which cost a tenth of the memory and gained nothing. All memory is returned when the process ends.
    """
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_TRIM_THRESHOLD, NEVER)
        mallopt(M_MMAP_THRESHOLD, LARGEST)

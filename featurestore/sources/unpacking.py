"""What a compressed table would unpack to: a small one of a stranger may fill the memory."""

from typing import Any

LEAST_BYTES = 64 << 20  # unpacked, which are always allowed
MOST_TIMES = 200  # the packed bytes


def too_large(packed: int, unpacked: int) -> str:
    """Say that bytes unpack to far more than tables of images do; empty when they do not."""
    if unpacked <= max(LEAST_BYTES, MOST_TIMES * packed):
        return ""
    return f"{packed:,} bytes that unpack to {unpacked:,}; write the table again without compression"


def parquet_too_large(packed: int, metadata: Any) -> str:
    """Say that a row group of a Parquet file of `packed` bytes unpacks to far too much, by its footer; empty when none does.

    Looks at row groups only: to ask about a column of a damaged footer ends the process (pyarrow 26).
    """
    groups = map(metadata.row_group, range(metadata.num_row_groups))
    return next(filter(None, (too_large(packed, group.total_byte_size) for group in groups)), "")

"""What a compressed table would unpack to: a small one of a stranger may fill the memory."""

from typing import Any

LEAST_BYTES = 64 << 20  # unpacked, which are always allowed
MOST_TIMES = 200  # the packed bytes


def too_large(packed: int, unpacked: int) -> str:
    """Say that bytes unpack to far more than tables of images do; empty when they do not."""
    if unpacked <= max(LEAST_BYTES, MOST_TIMES * packed):
        return ""
    return f"{packed:,} bytes that unpack to {unpacked:,}; write the table again without compression"


def parquet_too_large(metadata: Any) -> str:
    """Say that a part of a Parquet file unpacks to far too much, by its footer; empty when none does."""
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for column in map(group.column, range(group.num_columns)):
            if found := too_large(column.total_compressed_size, column.total_uncompressed_size):
                return f"column {column.path_in_schema}: {found}"
    return ""

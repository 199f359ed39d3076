"""A temporary database."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from featurestore.catalog.engine import Connection, locked
from featurestore.errors import StoreError
from featurestore.system.cpus import available_cpus


@contextmanager
def scratch() -> Iterator[Connection]:
    """Give a temporary database for the length of the block: in memory, then in a temporary folder. Raises StoreError."""
    with tempfile.TemporaryDirectory() as folder:
        connection = locked(folder, available_cpus())
        try:
            yield connection
        except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
            raise StoreError(
                f"not enough memory, and no space in {folder}: {str(error).splitlines()[0]}; end other programs, or set TMPDIR"
            ) from error
        finally:
            connection.close()

"""Pipes given where files are expected are refused by name by all who read files of users; reading one would hang."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from featurestore.errors import FeatureStoreError
from featurestore.ingest.vector_table import open_table
from featurestore.search.query_file import read_queries
from featurestore.sources.user_table import readable
from featurestore.system.user_file import refuse_pipe
from trainers.config.parse import read_toml
from trainers.export.preprocess_file import read_preprocess


def open_array(path: Path) -> Any:
    return open_table(path, path)


def read_user_table(path: Path) -> Any:
    with readable(path, "of labels"):
        return path.read_bytes()


@pytest.mark.parametrize(
    ("read", "name"),
    [
        (read_queries, "q.txt"), (read_queries, "q.npy"), (open_table, "v.parquet"), (open_array, "v.npy"), (read_toml, "c.toml"),
        (read_preprocess, "p.toml"), (read_user_table, "labels.csv"),
    ],
)  # fmt: skip
def test_a_pipe_is_refused_by_name(tmp_path: Path, read: Callable[[Path], Any], name: str) -> None:
    pipe = tmp_path / name
    os.mkfifo(pipe)
    with pytest.raises(FeatureStoreError, match=f"{re.escape(name)}.* a pipe, a socket or a device; write its content"):
        read(pipe)


def test_files_and_what_others_refuse_pass(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    for name in ("file", "link", "missing", "."):
        refuse_pipe(tmp_path / name)
    with pytest.raises(OSError, match="a device"):
        refuse_pipe(Path(os.devnull))

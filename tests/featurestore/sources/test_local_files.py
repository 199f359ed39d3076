"""Files of this machine, read with few calls of the system."""

import os
from pathlib import Path

import pytest

from featurestore.sources.local_files import read_part


@pytest.mark.parametrize(("start", "size"), [(0, 0), (0, 4), (0, 10), (0, 99), (3, 4), (9, 99), (10, 1), (99, 1)])
def test_a_part_is_that_of_a_slice(tmp_path: Path, start: int, size: int) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"0123456789")
    assert read_part(str(file), start, size) == b"0123456789"[start : start + size]


def test_a_file_that_is_given_in_pieces_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a network drive may, and the system for more than 2 GiB."""
    file = tmp_path / "file"
    file.write_bytes(bytes(range(100)))
    whole = os.pread
    monkeypatch.setattr(os, "pread", lambda file, size, start: whole(file, min(size, 7), start))
    assert read_part(str(file), 1, 98) == bytes(range(1, 99))


def test_nothing_stays_open_when_reading_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_bytes(b"0")
    opened: list[int] = []

    def failing(file: int, size: int, start: int) -> bytes:
        opened.append(file)
        raise OSError("the disk failed")

    monkeypatch.setattr(os, "pread", failing)
    with pytest.raises(OSError, match="the disk failed"):
        read_part(str(tmp_path / "file"), 0, 1)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(opened[0])

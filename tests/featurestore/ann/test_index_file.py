"""Index files: whole or not there, and taken only when they are what was written."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from numpy.typing import NDArray

from featurestore.ann.faiss_index import RabitqIndex, floats
from featurestore.ann.index_file import open_index, save_index
from featurestore.ann.row_filter import RowFilter
from featurestore.ann.search import Index, search_vectors
from featurestore.errors import DiskError, StoreCorrupt
from featurestore.system.checksums import FileChecksum
from tests.featurestore.ann.naive import assert_same, clustered
from tests.featurestore.ann.small import COUNT, DIM, Built

pytestmark = pytest.mark.usefixtures("small")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "made.faiss"


@pytest.fixture
def seal(built: Built, path: Path) -> FileChecksum:
    return save_index(built.rabitq, path)


def opened(built: Built, path: Path, seal: FileChecksum, rows: int = COUNT, dim: int = DIM) -> Index | str:
    return open_index(path, seal, built.card, rows, dim)


def test_what_was_saved_answers_like_what_was_built(built: Built, path: Path, seal: FileChecksum) -> None:
    index = opened(built, path, seal)
    assert isinstance(index, Index)
    assert index.covered == COUNT
    queries = floats(clustered(100, DIM, seed=1)[0])
    for rows in (RowFilter(COUNT), RowFilter(COUNT, np.arange(0, COUNT, 3))):
        assert_same(*(search_vectors(queries, built.vectors, rows, 7, one) for one in (index, built.index)))


def test_the_checksum_is_of_the_file(path: Path, seal: FileChecksum) -> None:
    assert seal == FileChecksum.of(path)
    assert seal.bytes == path.stat().st_size
    assert [p.name for p in path.parent.iterdir()] == ["made.faiss"]


def test_a_file_that_is_missing_was_cut_or_grew_is_refused(built: Built, path: Path, seal: FileChecksum) -> None:
    data = path.read_bytes()
    path.unlink()
    assert opened(built, path, seal) == "is missing"
    for size in (0, 1, 4, 100, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:size])
        assert opened(built, path, seal) == "is not the file that was written"
    path.write_bytes(data + b"\0")
    assert opened(built, path, seal) == "is not the file that was written"


def test_one_flipped_bit_is_noticed_wherever_it_is(built: Built, path: Path, seal: FileChecksum) -> None:
    data = path.read_bytes()
    for place in [*range(40), *range(40, len(data), len(data) // 100), len(data) - 1]:
        flipped = bytearray(data)
        flipped[place] ^= 1 << place % 8
        path.write_bytes(flipped)
        assert opened(built, path, seal) == "is not the file that was written"
    path.write_bytes(data)
    assert isinstance(opened(built, path, seal), Index)


@pytest.mark.parametrize(("rows", "dim", "lists"), [(COUNT + 1, DIM, 38), (COUNT - 1, DIM, 38), (COUNT, DIM + 1, 38), (COUNT, DIM, 37)])  # fmt: skip
def test_an_index_of_other_vectors_than_the_catalog_says_is_refused(
    built: Built, path: Path, seal: FileChecksum, rows: int, dim: int, lists: int
) -> None:
    assert built.card.lists == 38
    card = type(built.card).from_json({**built.card.to_json(), "lists": lists})
    assert open_index(path, seal, card, rows, dim) == "is of other vectors"


FLAT = faiss.serialize_index(faiss.IndexFlatIP(DIM)).tobytes()


@pytest.mark.parametrize("content", [b"", b"rose", bytes(5_000), b"IwRQ" + bytes(200), b"\xff" * 300, FLAT])
def test_a_file_that_is_not_an_index_is_reported_in_one_line(built: Built, path: Path, content: bytes) -> None:
    path.write_bytes(content)
    problem = opened(built, path, FileChecksum.of(path))
    assert isinstance(problem, str)
    assert problem.startswith("cannot be read (")
    assert "\n" not in problem
    assert len(problem) < 300


@pytest.mark.parametrize("named", [np.arange(COUNT) + 10**9, np.arange(COUNT) // 2, np.arange(COUNT) + 2**62])
def test_an_index_that_names_vectors_that_are_not_there_or_twice_is_refused(
    built: Built, path: Path, named: NDArray[np.int64]
) -> None:
    """Its size and checksum are right: a stranger made them."""
    index = faiss.clone_index(built.rabitq._index)
    index.reset()
    index.add_with_ids(floats(built.vectors), named)
    faiss.write_index(index, str(path))
    stranger = opened(built, path, FileChecksum.of(path))
    assert isinstance(stranger, Index)
    with pytest.raises(StoreCorrupt, match="names vectors that are not there, or one twice"):
        search_vectors(floats(built.vectors[:2]), built.vectors, RowFilter(COUNT), 7, stranger)


def test_a_file_that_cannot_be_read_is_reported(
    built: Built, path: Path, seal: FileChecksum, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path, *flags: Any, **folder: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "open", refused)
    assert "Permission denied" in str(opened(built, path, seal))


FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(("room", "stop"), [(0, FULL), (3, FULL), (20_000, FULL), (1_000, KeyboardInterrupt())])
def test_what_stops_the_writing_leaves_the_file_as_it_was(
    built: Built, path: Path, room: int, stop: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full, or Ctrl-C, after so many bytes."""
    path.write_bytes(b"the one before")
    save, written = RabitqIndex.save, 0

    def stopped(self: RabitqIndex, write: Callable[[bytes], int]) -> None:
        def limited(data: bytes) -> int:
            nonlocal written
            written += len(data)
            if written > room:
                raise stop
            return write(data)

        save(self, limited)

    monkeypatch.setattr(RabitqIndex, "save", stopped)
    told = r"made\.faiss could not be written \(No space left on device\); searches are as before"
    with pytest.raises((DiskError, KeyboardInterrupt), match=told if stop is FULL else None):
        save_index(built.rabitq, path)
    assert [p.name for p in path.parent.iterdir()] == ["made.faiss"]
    assert path.read_bytes() == b"the one before"

"""Index files: whole or not there, and taken only when they are what was written."""

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featurestore.ann.faiss_index import RabitqIndex, floats
from featurestore.ann.index_file import open_index, save_index
from featurestore.ann.row_filter import RowFilter
from featurestore.ann.search import Index, search_vectors
from featurestore.errors import DiskError
from featurestore.system.checksums import FileChecksum
from tests.featurestore.ann.naive import assert_same, clustered
from tests.featurestore.ann.small import COUNT, DIM, Built, build_quietly

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


def test_a_missing_file_is_reported(built: Built, path: Path, seal: FileChecksum) -> None:
    path.unlink()
    assert opened(built, path, seal) == "is missing"


def test_a_file_that_was_cut_or_grew_is_refused(built: Built, path: Path, seal: FileChecksum) -> None:
    data = path.read_bytes()
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


def test_the_index_of_another_collection_is_refused(
    built: Built, path: Path, seal: FileChecksum, tmp_path: Path
) -> None:
    other_lists, other_card = build_quietly(clustered(COUNT, DIM, seed=8)[0])
    other = save_index(other_lists, tmp_path / "other.faiss")
    assert opened(built, tmp_path / "other.faiss", seal) == "is not the file that was written"
    assert isinstance(open_index(tmp_path / "other.faiss", other, other_card, COUNT, DIM), Index)


@pytest.mark.parametrize(("rows", "dim", "lists"), [(COUNT + 1, DIM, 38), (COUNT - 1, DIM, 38), (COUNT, DIM + 1, 38), (COUNT, DIM, 37)])  # fmt: skip
def test_an_index_of_other_vectors_than_the_catalog_says_is_refused(
    built: Built, path: Path, seal: FileChecksum, rows: int, dim: int, lists: int
) -> None:
    assert built.card.lists == 38
    card = type(built.card).from_json({**built.card.to_json(), "lists": lists})
    assert open_index(path, seal, card, rows, dim) == "is of other vectors"


@pytest.mark.parametrize("content", [b"", b"rose", bytes(5_000), b"IwRQ" + bytes(200), b"\xff" * 300])
def test_a_file_that_is_not_an_index_is_reported_in_one_line(built: Built, path: Path, content: bytes) -> None:
    path.write_bytes(content)
    problem = opened(built, path, FileChecksum.of(path))
    assert isinstance(problem, str)
    assert problem.startswith("cannot be read (")
    assert "\n" not in problem
    assert len(problem) < 300


def test_a_file_that_cannot_be_read_is_reported(
    built: Built, path: Path, seal: FileChecksum, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(self: Path, *mode: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refused)
    assert "Permission denied" in str(opened(built, path, seal))


class FullAfter:
    """A file on a disk that has room for so many bytes."""

    def __init__(self, file: Any, room: int) -> None:
        self.file, self.room = file, room

    def __enter__(self) -> "FullAfter":
        return self

    def __exit__(self, *error: Any) -> None:
        self.file.close()

    def write(self, data: bytes) -> int:
        self.room -= len(data)
        if self.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return int(self.file.write(data))


@pytest.mark.parametrize("room", [0, 3, 1_000, 20_000])
def test_a_full_disk_leaves_nothing_and_is_named(
    built: Built, path: Path, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_bytes(b"the one before")
    open_file = Path.open

    def limited(self: Path, *mode: Any) -> Any:
        file = open_file(self, *mode)
        return FullAfter(file, room) if mode == ("wb",) else file

    monkeypatch.setattr(Path, "open", limited)
    with pytest.raises(
        DiskError, match=r"made\.faiss could not be written \(No space left on device\); searches are as before"
    ):
        save_index(built.rabitq, path)
    monkeypatch.undo()
    assert [p.name for p in path.parent.iterdir()] == ["made.faiss"]
    assert path.read_bytes() == b"the one before"


def test_a_disk_that_does_not_flush_leaves_nothing(built: Built, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("featurestore.system.disk.os.fsync", full)
    with pytest.raises(DiskError, match=r"Input/output error"):
        save_index(built.rabitq, path)
    assert list(path.parent.iterdir()) == []


def test_an_interruption_leaves_nothing(built: Built, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: RabitqIndex, write: Any) -> None:
        write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(RabitqIndex, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_index(built.rabitq, path)
    assert list(path.parent.iterdir()) == []

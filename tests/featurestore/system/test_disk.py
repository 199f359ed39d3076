"""New files: complete or not at all, under names that nobody can foresee, and of the usual mode."""

import fcntl
import os
from pathlib import Path

import pytest

from featurestore.errors import DiskError
from featurestore.system.disk import append_text, atomic_write, atomic_write_by_name, write_text

ADVICE = "do something"
OLD = "a" * 16  # the random end of a name


def left(path: Path, age: float = 3600) -> Path:
    """What a killed process left of a file."""
    part = path.with_name(f"{path.name}.part-{OLD}")
    part.write_text("half")
    os.utime(part, times=(0, part.stat().st_mtime - age))
    return part


def test_the_name_of_a_part_is_another_each_time(tmp_path: Path) -> None:
    names = set()
    for _ in range(5):
        with atomic_write(tmp_path / "hits.html", ADVICE) as file:
            names.add(Path(file.name).name)
    assert len(names) == 5
    assert all(name.startswith("hits.html.part-") and len(name) == len("hits.html.part-") + 16 for name in names)
    assert [path.name for path in tmp_path.iterdir()] == ["hits.html"]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_file_has_the_usual_mode(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write_text(tmp_path / "new.txt", "new", ADVICE)
        with atomic_write_by_name(tmp_path / "named.txt", ADVICE) as part:
            assert part.parent.stat().st_mode & 0o777 == 0o700
            part.write_text("named")
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {mode}


def test_a_link_at_the_name_is_replaced_and_its_target_is_not(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("old")
    path = tmp_path / "hits.html"
    path.symlink_to(tmp_path / "target")
    write_text(path, "new", ADVICE)
    assert (path.read_text(), path.is_symlink(), (tmp_path / "target").read_text()) == ("new", False, "old")


@pytest.mark.parametrize("hard_links", [True, False])
def test_a_new_file_replaces_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hard_links: bool) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")  # as on FAT

    if not hard_links:
        monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to("nothing")
    for name in ("file", "link"):
        with pytest.raises(DiskError, match="File exists"), atomic_write(tmp_path / name, ADVICE, may_replace=False):
            pass
    with atomic_write(tmp_path / "new", ADVICE, may_replace=False) as file:
        file.write(b"new")
    assert (tmp_path / "new").read_text() == "new"
    assert (tmp_path / "file").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link", "new"]


def test_the_other_name_of_a_file_keeps_its_content(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("old")
    (tmp_path / "hits.html").hardlink_to(tmp_path / "target")
    write_text(tmp_path / "hits.html", "new", ADVICE)
    assert (tmp_path / "target").read_text() == "old"


def test_a_link_to_the_folder_is_followed_unless_it_is_in_a_store(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "here").symlink_to(tmp_path / "there")
    write_text(tmp_path / "here" / "hits.html", "new", ADVICE)
    assert (tmp_path / "there" / "hits.html").read_text() == "new"


def test_a_pipe_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "hits.html")
    with pytest.raises(DiskError, match=r"hits\.html could not be written \(it is a pipe\); do something"):
        write_text(tmp_path / "hits.html", "new", ADVICE)
    assert (tmp_path / "hits.html").is_fifo()


def test_what_a_killed_process_left_goes_with_the_next_write(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    parts = [left(path), left(tmp_path / "checkpoint.pt.part-x"), left(tmp_path / "other.pt")]
    parts.append(tmp_path / "checkpoint.pt.part")  # as a browser may call a download
    parts[3].write_text("mine")
    write_text(path, "whole", ADVICE)
    assert [part.exists() for part in parts] == [False, True, True, True]


def test_a_part_that_is_being_written_stays(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    part = left(path)
    with part.open() as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        write_text(path, "whole", ADVICE)
    assert part.exists()
    part.unlink()
    part = left(path, age=0)  # of this moment: perhaps it will be locked next
    write_text(path, "whole", ADVICE)
    assert part.exists()


def test_a_link_in_the_place_of_a_part_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("old")
    part = tmp_path / f"hits.html.part-{OLD}"
    part.symlink_to(tmp_path / "target")
    write_text(tmp_path / "hits.html", "new", ADVICE)
    assert (part.is_symlink(), (tmp_path / "target").read_text()) == (True, "old")


def test_the_only_writer_of_a_file_deletes_all_that_is_left_of_it(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "mine").touch()
    path = tmp_path / "catalog.duckdb"
    (tmp_path / "catalog.duckdb.part-x1").mkdir()
    (tmp_path / "catalog.duckdb.part-x1" / "within").symlink_to(tmp_path / "target")
    (tmp_path / "catalog.duckdb.part").symlink_to(tmp_path / "target")
    (tmp_path / "catalog.duckdb.part.wal").touch()
    with atomic_write_by_name(path, ADVICE) as part:
        part.write_text("whole")
    assert sorted(found.name for found in tmp_path.iterdir()) == ["catalog.duckdb", "target"]
    assert (tmp_path / "target" / "mine").exists()


def test_appending_follows_no_link_and_changes_no_other_name(tmp_path: Path) -> None:
    append_text(tmp_path / "lines", "1\n", ADVICE)
    append_text(tmp_path / "lines", "2\n", ADVICE)
    (tmp_path / "link").symlink_to(tmp_path / "lines")
    (tmp_path / "other").hardlink_to(tmp_path / "lines")
    os.mkfifo(tmp_path / "pipe")
    for name, reason in (
        ("link", "it is a symbolic link"),
        ("other", "it is a file with 2 hard links"),
        ("pipe", "No such"),
    ):
        with pytest.raises(DiskError, match=rf"{name} could not be written \({reason}.*\); do something"):
            append_text(tmp_path / name, "3\n", ADVICE)
    assert (tmp_path / "lines").read_text() == "1\n2\n"

"""Text files of paths as sources."""

from pathlib import Path

import pytest

from featurestore.errors import SourceError
from featurestore.sources import Failure, ImageFile, find, open_source, read
from tests.featurestore.fakes import paint

RED = (255, 0, 0)


def write(path: Path, *lines: str | Path) -> Path:
    path.write_text("\n".join(map(str, lines)))
    return path


def paths(source: Path) -> list[str]:
    return [entry.path for entry in find(source) if isinstance(entry, ImageFile)]


@pytest.mark.parametrize("name", ["images.txt", "images.lst", "images.TXT"])
def test_lines_are_paths_in_order_and_the_folder_is_the_label(tmp_path: Path, name: str) -> None:
    rose, tulip = paint(tmp_path / "rose" / "b.png", RED), paint(tmp_path / "tulip" / "a.png", RED)
    entries = list(find(write(tmp_path / name, rose, tulip)))
    assert entries == [
        ImageFile(str(rose), "rose", None, rose.stat().st_size, rose.stat().st_mtime_ns),
        ImageFile(str(tulip), "tulip", None, tulip.stat().st_size, tulip.stat().st_mtime_ns),
    ]
    assert read(paths(tmp_path / name)[0]) == rose.read_bytes()


def test_blank_lines_and_comments_are_passed_over(tmp_path: Path) -> None:
    path = paint(tmp_path / "a.png", RED)
    lines = write(tmp_path / "l.txt", "# mine", "", f"  {path}\t", "   ", "#a.png")
    for end in (b"\r\n", b"\r"):
        lines.write_bytes(
            b"\xef\xbb\xbf"
            + lines.read_bytes().replace(b"\xef\xbb\xbf", b"").replace(b"\r\n", b"\n").replace(b"\n", end)
        )
        assert [entry.path for entry in find(lines)] == [str(path)]


def test_relative_paths_are_those_beside_the_list_or_else_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("lists/both.png", "here/both.png", "here/only.png"):
        paint(tmp_path / name, RED)
    monkeypatch.chdir(tmp_path / "here")
    lines = write(tmp_path / "lists" / "l.txt", "both.png", "only.png", "../here/both.png")
    assert paths(lines) == [str(tmp_path / n) for n in ("lists/both.png", "here/only.png", "here/both.png")]


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    path = paint(tmp_path / "home" / "a.png", RED)
    assert paths(write(tmp_path / "l.txt", "~/a.png")) == [str(path)]


def test_a_path_that_stands_twice_is_listed_once(tmp_path: Path) -> None:
    path = paint(tmp_path / "a.png", RED)
    assert paths(write(tmp_path / "l.txt", path, "a.png", "./x/../a.png")) == [str(path)]


def test_what_is_missing_or_no_file_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert list(find(write(tmp_path / "l.txt", "gone.png", "folder", "a\x01.png"))) == [
        Failure(str(tmp_path / "gone.png"), "no such file, or it has vanished"),
        Failure(str(tmp_path / "folder"), "not a file but a folder"),
        Failure(f"{tmp_path}/a\\x01.png", "the file name contains control characters; rename the file"),
    ]


def test_a_list_that_is_no_utf8_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "l.txt").write_bytes(b"a.png\ncaf\xe9.png\n")
    with pytest.raises(SourceError, match=r"line 2 is not UTF-8"):
        open_source(tmp_path / "l.txt")

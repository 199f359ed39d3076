"""Folder trees and single files as sources."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from featurestore.errors import ImageError, SourceError
from featurestore.sources import Failure, ImageFile, find, open_source, read
from tests.featurestore.fakes import paint

RED = (255, 0, 0)


def paths(source: Path) -> list[str]:
    return [str(Path(f.path).relative_to(source)) for f in find(source) if isinstance(f, ImageFile)]


def failures(source: Path) -> list[Failure]:
    return [f for f in find(source) if isinstance(f, Failure)]


def test_a_listing_is_sorted_and_takes_images_only(tmp_path: Path) -> None:
    listed = ["a.webp", "b/10.png", "b/2.JPG", "b/no_suffix"]
    for name in [*reversed(listed), "c.txt", "b/notes.csv", ".hidden.jpg", ".git/x.jpg", "b/._2.jpg"]:
        paint(tmp_path / "x.png", RED)
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / "x.png").rename(tmp_path / name)
    (tmp_path / "b" / "LICENSE").write_text("MIT")
    assert paths(tmp_path) == listed
    assert failures(tmp_path) == []


OTHER_NAMES = {
    "Train": "train", "training": "train", "tr": "train", "VALID": "val", "validation": "val", "dev": "val", "Testing": "test", "eval": "test",
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "label", "split"),
    [
        ("x.png", None, None),
        ("rose/x.png", "rose", None),
        ("a/b/rose/x.png", "rose", None),
        ("train/x.png", None, "train"),
        ("train/rose/x.png", "rose", "train"),
        ("val/rose/x.png", "rose", "val"),
        ("test/a/rose/x.png", "rose", "test"),
        ("rose/train/x.png", "train", None),
        *((f"{name}/rose/x.png", "rose", split) for name, split in OTHER_NAMES.items()),
        ("trainer/rose/x.png", "rose", None),
    ],
)
def test_folders_say_label_and_split(tmp_path: Path, name: str, label: str | None, split: str | None) -> None:
    paint(tmp_path / name, RED)
    [file] = find(tmp_path)
    assert isinstance(file, ImageFile)
    assert (file.label, file.split) == (label, split)


def test_one_file_as_source(tmp_path: Path) -> None:
    path = paint(tmp_path / "rose" / "x.png", RED)
    [file] = find(path)
    assert isinstance(file, ImageFile)
    assert (file.path, file.label, file.split) == (str(path.resolve()), None, None)


@pytest.mark.parametrize(
    ("image", "links", "found"),
    [
        ("source/a/x.png", {"a/round": ".."}, "a/x.png"),
        ("elsewhere/x.png", {"link": "../elsewhere"}, "link/x.png"),
        ("source/rose/red/x.png", {"a_link": "rose", "b_link": "rose/red"}, "rose/red/x.png"),
        ("source/.data/v1/x.png", {"rose": ".data/v1"}, "rose/x.png"),
    ],
    ids=["a loop ends", "a folder elsewhere", "no image is taken from a folder of the source", "but from a hidden one"],
)
def test_linked_folders_are_followed(tmp_path: Path, image: str, links: dict[str, str], found: str) -> None:
    paint(tmp_path / image, RED)
    (tmp_path / "source").mkdir(exist_ok=True)
    for link, target in links.items():
        (tmp_path / "source" / link).symlink_to(target)
    assert paths(tmp_path / "source") == [found]


def test_a_store_within_its_source_is_passed_over(tmp_path: Path) -> None:
    paint(tmp_path / "x.png", RED)
    paint(tmp_path / "my.store" / "inner.png", RED)
    (tmp_path / "my.store" / "catalog.duckdb").touch()
    assert paths(tmp_path) == ["x.png"]


def test_links_to_nowhere_and_pipes_are_failures(tmp_path: Path) -> None:
    paint(tmp_path / "x.png", RED)
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    os.mkfifo(tmp_path / "pipe.png")
    assert paths(tmp_path) == ["x.png"]
    assert failures(tmp_path) == [
        Failure(f"{tmp_path.resolve()}/gone.png", "no such file, or it has vanished"),
        Failure(f"{tmp_path.resolve()}/pipe.png", "not a regular file"),
    ]


def test_a_pipe_without_a_suffix_is_passed_over_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    code = "import sys; from featurestore.sources import find; print(list(find(sys.argv[1])))"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=20)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_folders_deeper_than_calls_may_be_are_listed(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*"d" * 300)
    deep.mkdir(parents=True)
    (deep / "x.png").touch()
    (tmp_path / "e.png").touch()
    limit = sys.getrecursionlimit()
    try:
        sys.setrecursionlimit(250)
        assert [Path(entry.path).name for entry in find(tmp_path)] == ["x.png", "e.png"]
    finally:
        sys.setrecursionlimit(limit)


def test_an_unreadable_folder_is_a_failure_and_the_rest_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paint(tmp_path / "locked" / "x.png", RED)
    paint(tmp_path / "open" / "y.png", RED)
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if not isinstance(path, int) and Path(path).name == "locked":  # pytest deletes by descriptors
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert paths(tmp_path) == ["open/y.png"]
    assert failures(tmp_path) == [Failure(str(tmp_path.resolve() / "locked"), "folder not readable: Permission denied")]


def test_a_name_that_is_not_utf8_is_a_failure(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path.resolve()) + b"/caf\xe9.png"
    try:
        paint(tmp_path / "x.png", RED).rename(os.fsdecode(raw))
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    reason = "the file name is not valid UTF-8; rename the file"
    assert failures(tmp_path) == [Failure(f"{tmp_path.resolve()}/caf\\udce9.png", reason)]


def test_a_name_with_control_characters_is_a_failure(tmp_path: Path) -> None:
    for name in ("a\nb\x1b[31m.png", "line\nbreak/y.png"):
        paint(tmp_path / name, RED)
    reason = "the file name contains control characters; rename the file"
    assert failures(tmp_path) == [
        Failure(f"{tmp_path.resolve()}/a\\x0ab\\x1b[31m.png", reason),
        Failure(f"{tmp_path.resolve()}/line\\x0abreak/y.png", reason),
    ]
    assert paths(tmp_path) == []


def test_containers_in_a_folder_are_counted_with_what_to_name(tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()
    for name in ("shards/1.tar", "shards/2.TAR", "part.parquet"):
        (tmp_path / name).touch()
    source = open_source(tmp_path)
    assert list(source) == []
    folder = tmp_path.resolve()
    assert source.passed_over.describe() == (
        f"passed over: 1 .parquet (to take the images inside, name {folder}/*.parquet), "
        f"2 .tar (to take the images inside, name {folder}/shards/*.tar)"
    )


@pytest.mark.parametrize("name", ["photos.zip", "shard.tar.gz", "shard.tgz", "shard.tar.zst"])
def test_what_is_packed_is_refused_with_what_to_do(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(SourceError, match="unpack it first"):
        open_source(tmp_path / name)


def test_reading_gives_the_bytes_or_names_its_failure(tmp_path: Path) -> None:
    path = paint(tmp_path / "x.png", RED)
    assert read(path) == read(str(path)) == path.read_bytes()
    with pytest.raises(ImageError, match="no such file"):
        read(tmp_path / "absent.jpg")
    with pytest.raises(ImageError, match="not a file but a folder"):
        read(tmp_path)


def test_a_plain_file_wins_over_a_place_in_a_container(tmp_path: Path) -> None:
    (tmp_path / "a.tar::b.jpg").write_bytes(b"plain")
    assert read(tmp_path / "a.tar::b.jpg") == b"plain"


def test_listing_costs_no_more_than_looking_at_every_file(tmp_path: Path) -> None:
    for number in range(1500):
        (tmp_path / f"{number}.jpg").touch()

    def seconds(work: Callable[[], object]) -> float:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    def look() -> list[os.stat_result]:
        return [Path(entry).stat() for entry in os.scandir(tmp_path)]

    assert min(seconds(lambda: list(find(tmp_path))) for _ in range(7)) < 1.6 * min(seconds(look) for _ in range(7))
